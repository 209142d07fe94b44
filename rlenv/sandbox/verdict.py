"""What the sandbox reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["pass", "fail", "error", "timeout", "memory", "output_limit", "infrastructure"]
TestStatus = Literal["pass", "fail", "error", "timeout", "memory", "output_limit", "not_run"]
RunStatus = Literal["ok", "error", "timeout", "memory", "output_limit", "infrastructure"]


class SandboxError(RuntimeError):
    """The sandbox could not be set up or was used after it was closed."""


@dataclass(frozen=True)
class TestResult:
    """How one test went.

    Args:
        status: `pass`, what went wrong, or `not_run` if the run ended before this test.
        detail: One sentence on what went wrong, at most some hundred characters; parts of
            it can come from the program.
        value: What the function returned, or the script printed; None if there is nothing.
    """

    __test__ = False  # not a test case, whatever pytest makes of the name

    status: TestStatus
    detail: str = ""
    value: Any = None


@dataclass(frozen=True)
class Verdict:
    """The judgement on a program.

    Args:
        status: `pass` if every test passed, else the status of the first test that did not.
            `infrastructure` means that the sandbox failed and nothing is known of the program.
        tests: One result for each test, in order.
        backend: Which backend ran it.
        detail: One sentence on what went wrong.
        cpu_seconds: Processor time used.
        wall_seconds: Wall time from start to end of the run.
        stdout: What it printed, up to `Limits.output_bytes`; undecodable bytes are replaced.
        stderr: Likewise.
        truncated: Whether some output was dropped.
        attempts: 2 if the first try failed for want of a working sandbox.
    """

    status: Status
    tests: tuple[TestResult, ...] = ()
    backend: str = ""
    detail: str = ""
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    stdout: str = field(default="", repr=False)
    stderr: str = field(default="", repr=False)
    truncated: bool = False
    attempts: int = 1

    @property
    def passed(self) -> bool:
        """Whether every test passed."""
        return self.status == "pass"


@dataclass(frozen=True)
class RunResult:
    """What a program did when it was merely run.

    Args:
        status: `ok` if it ended by itself with exit code 0; `error` if with another code, by
            an uncaught exception or by a signal; else which limit it hit.
        exit_code: The exit code, minus the signal's number if a signal ended it, None if the
            sandbox did.
        stdout: What it printed, up to `Limits.output_bytes`.
        stderr: Likewise, tracebacks included.
        truncated: Whether some output was dropped.
        detail: One sentence on what went wrong.
        backend: Which backend ran it.
        cpu_seconds: Processor time used.
        wall_seconds: Wall time from start to end of the run.
        attempts: 2 if the first try failed for want of a working sandbox.
    """

    status: RunStatus
    exit_code: int | None = None
    stdout: str = ""
    stderr: str = ""
    truncated: bool = False
    detail: str = ""
    backend: str = ""
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    attempts: int = 1
