"""How much a program may use."""

from __future__ import annotations

from dataclasses import dataclass, fields

from rlenv.sandbox.guest.codec import Bounds

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What one run may use before it is stopped.

    Args:
        cpu_seconds: Processor time of the run, all threads together. This is what `timeout`
            is judged by.
        wall_multiple: A run also times out once it has been there for
            `wall_multiple * cpu_seconds` of wall time, less the time it spent waiting for
            a core. This is what ends a program that sleeps.
        memory_bytes: Address space of each process, above what the warm interpreter maps.
        disk_bytes: Total size of the files in the run's private `/tmp`.
        files: How many files and folders may exist there.
        output_bytes: How much of stdout and of stderr is kept, in bytes each. A script that
            prints more to stdout is stopped with `output_limit`; the rest is dropped.
        result_bytes: Size of all results of one run, encoded.
        result_items: How many values all results of one run may hold, members of containers
            included. A list of whole numbers below 2**63, or of floats, counts as one.
        result_depth: How deep a result may nest.
        result_digits: Decimal digits of an integer in a result.
        threads: How many threads a program may start besides its first.
        processes: How many child processes may live at once. With 0, the default, a program
            can neither fork nor exec, and `memory_bytes` bounds it in total.
        open_files: File descriptors of each process.

    Raises:
        ValueError: A number is out of range.
    """

    cpu_seconds: float = 2.0
    wall_multiple: float = 4.0
    memory_bytes: int = 512 * MIB
    disk_bytes: int = 64 * MIB
    files: int = 1024
    output_bytes: int = MIB
    result_bytes: int = 8 * MIB
    result_items: int = 250_000
    result_depth: int = 100
    result_digits: int = 10_000
    threads: int = 64
    processes: int = 0
    open_files: int = 64

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ValueError(f"{field.name} must be a number, not {value!r}")
            smallest = 0 if field.name in ("threads", "processes") else 1e-3
            if not smallest <= value < 2**48:
                raise ValueError(f"{field.name} is out of range: {value!r}")
        if self.wall_multiple < 1:
            raise ValueError("wall_multiple must be at least 1")
        if self.result_depth > 400:
            raise ValueError("result_depth must be at most 400")
        if self.open_files < 16:
            raise ValueError("open_files must be at least 16")

    @property
    def wall_seconds(self) -> float:
        """Wall time, in seconds, after which an idle run times out."""
        return self.cpu_seconds * self.wall_multiple

    @property
    def bounds(self) -> Bounds:
        """The bounds on one run's results, for the codec."""
        return Bounds(self.result_bytes, self.result_depth, self.result_digits, self.result_items)
