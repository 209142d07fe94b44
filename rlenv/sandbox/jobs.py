"""What can be asked of a sandbox, and the orders that a guest gets for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rlenv.sandbox.guest.codec import Bounds, encode
from rlenv.sandbox.guest.runner import FRAME
from rlenv.sandbox.limits import Limits

_WIDE = Bounds(1 << 31, 900, 1 << 31)


@dataclass(frozen=True)
class FunctionJob:
    """A program whose function is called once for each test.

    Args:
        program: Python source.
        entry_point: The function's name. `Class.method` makes an instance first.
        inputs: For each test the list of arguments, plain data.
        expected: For each test what must be returned, plain data. Stays on this side.
        rel_tol: Relative tolerance for floats.
        abs_tol: Absolute tolerance for floats.
        cpu_seconds: Instead of `Limits.cpu_seconds`.

    Raises:
        ValueError: There is no test, or not one expected value for each input.
        TypeError: Something is not plain data.
    """

    program: str
    entry_point: str
    inputs: Any
    expected: Any
    rel_tol: float = 1e-6
    abs_tol: float = 1e-9
    cpu_seconds: float | None = None

    def __post_init__(self) -> None:
        _check_program(self.program, self.cpu_seconds)
        _check_tests(self.inputs, self.expected, "inputs", "expected")
        if not isinstance(self.entry_point, str) or not self.entry_point:
            raise TypeError("entry_point must be the name of a function")
        for arguments in self.inputs:
            if not isinstance(arguments, (list, tuple)):
                raise TypeError("each input must be a list of arguments")
        for value in self.expected:
            encode(value, _WIDE)


@dataclass(frozen=True)
class ScriptJob:
    """A program that is run as a script once for each test.

    Args:
        program: Python source.
        stdins: For each test what it reads.
        expected_stdouts: For each test what it must print. Stays on this side.
        cpu_seconds: Instead of `Limits.cpu_seconds`, for each test.

    Raises:
        ValueError: There is no test, or not one expected output for each input.
        TypeError: Something is not a string.
    """

    program: str
    stdins: Any
    expected_stdouts: Any
    cpu_seconds: float | None = None

    def __post_init__(self) -> None:
        _check_program(self.program, self.cpu_seconds)
        _check_tests(self.stdins, self.expected_stdouts, "stdins", "expected_stdouts")
        for text in (*self.stdins, *self.expected_stdouts):
            if not isinstance(text, str):
                raise TypeError("stdins and expected_stdouts must be strings")


def _check_program(program: object, cpu_seconds: float | None) -> None:
    if not isinstance(program, str):
        raise TypeError("the program must be a string")
    if cpu_seconds is not None and not 1e-3 <= cpu_seconds < 2**31:
        raise ValueError(f"cpu_seconds is out of range: {cpu_seconds!r}")


def _check_tests(given: Any, wanted: Any, given_name: str, wanted_name: str) -> None:
    for tests, name in ((given, given_name), (wanted, wanted_name)):
        if not isinstance(tests, (list, tuple)):
            raise TypeError(f"{name} must be a list")
    if not given:
        raise ValueError("there must be at least one test")
    if len(given) != len(wanted):
        raise ValueError(
            f"{given_name} and {wanted_name} must be of one length, "
            f"not {len(given)} and {len(wanted)}"
        )


def call_order(job: FunctionJob, limits: Limits) -> dict[str, Any]:
    """The order for a function job. Expected values are no part of it."""
    bounds = (limits.result_bytes, limits.result_depth, limits.result_digits, limits.result_items)
    content = {
        "mode": "call",
        "program": job.program,
        "entry_point": job.entry_point,
        "inputs": [encode(list(arguments), _WIDE) for arguments in job.inputs],
        "bounds": bounds,
    }
    return _order(content, "", limits, job.cpu_seconds)


def script_order(
    program: str, stdin: str, limits: Limits, cpu_seconds: float | None
) -> dict[str, Any]:
    """The order for one run of a script."""
    _check_program(program, cpu_seconds)
    return _order({"mode": "script", "program": program}, stdin, limits, cpu_seconds)


def _order(
    content: dict[str, Any], stdin: str, limits: Limits, cpu_seconds: float | None
) -> dict[str, Any]:
    cpu = limits.cpu_seconds if cpu_seconds is None else cpu_seconds
    return {
        "job": encode(content, _WIDE),
        "stdin": stdin.encode("utf-8", "surrogateescape"),
        "cpu": float(cpu),
        "wall": float(cpu * limits.wall_multiple),
        "output_cap": limits.output_bytes,
        "stop_on_output": content["mode"] == "script",
        # Frames have headers, and a test may return nothing but one.
        "result_cap": limits.result_bytes + FRAME.size * (len(content.get("inputs", ())) + 2),
    }
