"""Running calls beside a candidate, with a time limit for each test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rlenv.environments.code.guest import BESIDE_CANDIDATE, CALL, LOAD
from rlenv.sandbox import FunctionJob, Sandbox, TestResult, Verdict

Kind = Literal["value", "object", "raised", "error", "timeout", "memory", "output_limit", "not_run"]


class SandboxFailed(Exception):
    """The sandbox could not judge; that says nothing about the program."""


@dataclass(frozen=True)
class CallOutcome:
    """What came of one call, as the process that the candidate shares claims it.

    Attributes:
        kind: `value`; `object`: it returned what is no plain data; `raised`; or how the process
            ended: `error`, `timeout`, `memory`, `output_limit`; or `not_run`.
        value: what it returned, of exact plain types.
        classes: of the exception that it raised, the nearest first.
        text: the traceback, or what happened.
        compiled: of loading: whether the program is Python.
    """

    kind: Kind
    value: Any = None
    classes: tuple[str, ...] = ()
    text: str = ""
    compiled: bool = True


@dataclass(frozen=True)
class Ran:
    """What came of a program.

    Attributes:
        loaded: of loading it.
        calls: of each call, in order.
        cpu_seconds: processor time in all.
    """

    loaded: CallOutcome
    calls: list[CallOutcome] = field(default_factory=list)
    cpu_seconds: float = 0.0


def run_calls(sandbox: Sandbox, program: str, calls: Sequence[str], seconds: float) -> Ran:
    """Load a program and work out calls of it, each within a limit of its own.

    All share a process while they stay within one limit together, which the honest do. A call
    that was stopped after others had used some of its time is run again in a fresh process; one
    that used up the limit alone ends the program, and the calls after it are `not_run`.

    Args:
        sandbox: where to run it.
        program: the candidate's.
        calls: expressions.
        seconds: of processor time, for each call.

    Raises:
        SandboxFailed: the sandbox itself failed.
    """
    outcomes: list[CallOutcome] = []
    loaded: CallOutcome | None = None
    spent = 0.0
    while loaded is None or len(outcomes) < len(calls):
        left = calls[len(outcomes) :]
        verdict = _serve(sandbox, program, left, seconds)
        spent += verdict.cpu_seconds
        opened, *got = map(_outcome, verdict.tests)
        if loaded is None:
            loaded = opened
        if opened.kind != "value":
            got = []
        end = next((n for n, outcome in enumerate(got) if outcome.kind in _ENDS), None)
        if end is None:
            outcomes += got
            break
        outcomes += got[:end]
        if got[end].kind == "timeout" and end > 0:
            continue  # it may have had less than its limit
        outcomes.append(got[end])
        break
    outcomes += [CallOutcome("not_run")] * (len(calls) - len(outcomes))
    return Ran(loaded, outcomes, spent)


_ENDS = ("error", "timeout", "memory", "not_run")


# What every run does before it comes to the candidate, done once in each worker.
REHEARSAL = FunctionJob(
    BESIDE_CANDIDATE,
    "serve",
    [
        (LOAD, "def f(x):\n    return x\n"),
        *((CALL, f"f({value!r})") for value in (1, 2.5, "text", True, None, [1, 2], (1, "a"))),
    ],
    [None] * 8,
)


def _serve(sandbox: Sandbox, program: str, calls: Sequence[str], seconds: float) -> Verdict:
    inputs = [(LOAD, program), *((CALL, call) for call in calls)]
    # nothing is expected on the sandbox's side: what comes back is judged by the caller
    job = FunctionJob(BESIDE_CANDIDATE, "serve", inputs, [None] * len(inputs), cpu_seconds=seconds)
    verdict = sandbox.judge_job(job)
    if verdict.status == "infrastructure":
        raise SandboxFailed(verdict.detail)
    return verdict


def _outcome(result: TestResult) -> CallOutcome:
    """Read what a process claims; anything may stand there."""
    match result.value:
        case ("value", value):
            return CallOutcome("value", value)
        case ("object", str(name)):
            return CallOutcome("object", text=f"it returned a {name[:100]}, which is no plain data")
        case ("raised", list(names), str(trace), bool(compiled)):
            classes = tuple(name for name in names if type(name) is str)
            return CallOutcome("raised", None, classes, trace, compiled)
    match result.status:
        case "timeout" | "memory" | "output_limit" | "not_run" as kind:
            return CallOutcome(kind, text=result.detail)
    return CallOutcome("error", text=result.detail or "it broke off")
