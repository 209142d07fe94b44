"""What the benchmarks share: options, rounds in turn, memory of processes, conditions and pages.

Contenders take turns, A B A B, and are compared round by round, because whatever else the machine
does falls on both of a round alike. The figure is the median of the rounds; beside it stands their
range, which holds the true median with probability 1 - 2^(1 - rounds): 94% for 5 rounds.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parent.parent
BY_HAND = ("<!-- by hand -->", "<!-- end -->")
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
OPTIONS: dict[str, dict[str, Any]] = {
    "rounds": {"type": int, "help": "rounds in which the contenders take turns"},
    "threads": {"type": int, "help": "threads of computation"},
    "clock": {"choices": list(CLOCKS), "help": "wall, or the processor's time of this process"},
    "json": {"type": Path, "metavar": "FILE", "help": "write all figures into this file"},
    "seeds": {"type": int, "nargs": "+", "help": "seeds of the runs"},
    "runs": {"type": Path, "metavar": "FOLDER", "help": "of the runs; finished ones are only read"},
    "out": {"type": Path, "metavar": "FOLDER", "help": "where the page is written"},
    "child": {"type": json.loads, "help": argparse.SUPPRESS},  # see `in_child`
}

Clock = Callable[[], float]
T = TypeVar("T")


def parser(doc: str | None, **shared: Any) -> argparse.ArgumentParser:
    """Return a parser of a benchmark's command line.

    Args:
        doc: what `--help` says, the benchmark's docstring.
        shared: the options of `OPTIONS` that it takes, with their defaults.
    """
    made = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in shared.items():
        option = dict(OPTIONS[name])
        if default is not None and option["help"] is not argparse.SUPPRESS:
            shown = " ".join(map(str, default)) if isinstance(default, (list, tuple)) else default
            option["help"] += f" (default: {shown})"
        made.add_argument(f"--{name}", default=default, **option)
    return made


def take_turns(
    contenders: Mapping[str, Callable[[], T]], rounds: int, *, warm_up: int = 0
) -> dict[str, list[T]]:
    """Let every contender run once in each round.

    Args:
        contenders: by name.
        rounds: that count.
        warm_up: rounds before, which don't.

    Returns:
        What each contender returned, round by round.
    """
    returned: dict[str, list[T]] = {name: [] for name in contenders}
    for number in range(warm_up + rounds):
        for name, run in contenders.items():
            gc.collect()
            result = run()
            if number >= warm_up:
                returned[name].append(result)
    return returned


def timed(run: Callable[[], object], clock: Clock = time.perf_counter) -> Callable[[], float]:
    """Return what does the same and returns the seconds, each if `run` returns how many it did."""

    def measured() -> float:
        began = clock()
        count = run()
        seconds = clock() - began
        return seconds / count if isinstance(count, int) else seconds

    return measured


@dataclass(frozen=True)
class Spread:
    """The median of some rounds, and their range."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Return that of some values."""
        found = list(values)
        return cls(statistics.median(found), min(found), max(found))

    def __format__(self, spec: str) -> str:
        """Write all three in one format: `1.50 [1.40, 1.60]`."""
        low, high = (format(value, spec).strip() for value in (self.low, self.high))
        return f"{self.median:{spec}} [{low}, {high}]"


def ratio(values: Sequence[float], to: Sequence[float]) -> Spread:
    """Return the ratios of two contenders, each within its round."""
    return Spread.of(a / b for a, b in zip(values, to, strict=True))


def conditions(*, libraries: Sequence[str] = ("torch",), **more: object) -> str:
    """Say on what and beside what a benchmark runs: versions, commit, processor and load.

    Args:
        libraries: distributions whose versions matter.
        more: settings that matter, such as `threads=1`.
    """
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    found = subprocess.run(git, capture_output=True, text=True, check=False)
    versions = [f"{name} {metadata.version(name)}" for name in libraries]
    cores = f"{len(os.sched_getaffinity(0))} of {os.cpu_count()} cores ({platform.machine()})"
    load = ", ".join(f"{n:.1f}" for n in os.getloadavg())
    commit = found.stdout.strip() or "unknown"
    said = [f"Python {platform.python_version()}", *versions, f"commit {commit}"]
    said += [f"{name} {value}" for name, value in more.items()]
    return ", ".join([*said, cores, f"load average {load}"])


def resident(field: str = "VmHWM") -> float:
    """Return a figure of this process's memory in MiB: what it holds (VmRSS) or held at most."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(rf"{field}:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


def peak_memory() -> float:
    """Return the most memory that this process has held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def memory_added(run: Callable[[], object]) -> float:
    """Return what something takes at its peak beyond what this process held before, in MiB."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # begins a new peak
    before = resident()
    run()
    return resident() - before


def profiled(run: Callable[[], T], title: str = "") -> T:
    """Run under torch's profiler and print the operations that take longest in themselves."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        returned = run()
    print(title)
    table = profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=15)
    print(table, flush=True)
    return returned


def in_child(
    script: str, what: object, *options: str, env: Mapping[str, str] | None = None
) -> tuple[Any, str]:
    """Let a script do one thing in a process of its own.

    Args:
        script: its `__file__`; its parser takes `child`.
        what: that its `--child` is to say, a value for JSON.
        options: of the command line besides.
        env: variables of the environment to set.

    Returns:
        The value that the last line it prints says in JSON, and what it printed before.
    """
    command = [sys.executable, script, "--child", json.dumps(what), *options]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, **(env or {})}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    said, _, last = done.stdout.rstrip().rpartition("\n")
    return json.loads(last), said


@dataclass(frozen=True)
class Usage:
    """What a command took.

    Attributes:
        seconds: wall-clock.
        megabytes: peak resident memory of its process.
        load: the machine's load average when it began; near 0 on a quiet one.
        children: processor seconds of the processes that it started, such as sandboxes.
    """

    seconds: float
    megabytes: float
    load: float
    children: float


def carry_out(command: Sequence[str], kept: Path, before: float = 0.0) -> Usage:
    """Carry out a command, or read what it took where that is done.

    Args:
        command: the program and its arguments.
        kept: the file that remembers what it took.
        before: seconds of an earlier, interrupted command to add.
    """
    if not kept.exists():
        load, began = os.getloadavg()[0], time.monotonic()
        process = subprocess.Popen(command)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        children = _seconds_of_children(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"`{' '.join(command)}` failed; see above")
        seconds = before + time.monotonic() - began
        write_json(kept, asdict(Usage(seconds, usage.ru_maxrss / 1024, load, children)))
    return Usage(**json.loads(kept.read_text(encoding="utf-8")))


def _seconds_of_children(pid: int) -> float:
    """Return the processor seconds of a dead process's children, theirs included."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:  # not Linux
        return 0.0
    return sum(map(int, fields[13:15])) / os.sysconf("SC_CLK_TCK")


def row(cells: Iterable[object]) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(map(str, cells))} |"


def table(head: Sequence[str], rows: Iterable[Iterable[object]]) -> list[str]:
    """Return a Markdown table, line by line."""
    return [row(head), row(["---"] * len(head)), *map(row, rows)]


def interval(r: Mapping[str, Any], digits: int = 3, scale: float = 1.0) -> str:
    """Return the pass@1 of a result of an evaluation with its interval."""
    value, low, high = (scale * r[name] for name in ("pass_at_1", "ci_low", "ci_high"))
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def write_page(path: Path, lines: Iterable[str]) -> None:
    """Write a page and say where; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    print(path)


def write_json(path: Path | None, figures: object) -> None:
    """Write figures as JSON; nothing where no file is asked for."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(figures, indent=1), encoding="utf-8")


def by_hand(page: Path) -> list[str]:
    """Return what people wrote into a page, with the marks around it; nothing if there is none."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    start, end = map(re.escape, BY_HAND)
    found = re.search(f"^{start}$.*?^{end}$", text, re.DOTALL | re.MULTILINE)
    if found is None and any(mark in text for mark in BY_HAND):
        sys.exit(f"{page} has one of {' and '.join(BY_HAND)}; give each a line of its own")
    return [found[0], ""] if found else []
