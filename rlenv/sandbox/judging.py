"""From a guest's report to a verdict.

Everything in a report but its timings may have been written by the program. It is data to be
checked: a frame out of place makes the verdict `error`, and no frame says whether an answer
is right.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from rlenv.sandbox.compare import difference, same_output
from rlenv.sandbox.guest.codec import Corrupt, TooBig
from rlenv.sandbox.guest.runner import (
    BROKEN,
    DONE,
    FRAME,
    MAX_TEXT,
    MEMORY,
    NOT_PLAIN,
    RAISED,
    TOO_BIG,
    VALUE,
)
from rlenv.sandbox.jobs import FunctionJob
from rlenv.sandbox.limits import Limits
from rlenv.sandbox.results import ResultDecoder
from rlenv.sandbox.verdict import RunResult, TestResult, Verdict
from rlenv.sandbox.worker import WorkerLost

_LIMIT_STATUS = {
    "cpu": ("timeout", "it used more processor time than it may"),
    "wall": ("timeout", "it was there for longer than it may without using its processor time"),
    "output": ("output_limit", "it put out more than it may"),
    "disk": ("output_limit", "it put more on disk than it may"),
}


def check_report(report: dict[str, Any], order: dict[str, Any], trusted_kill: bool) -> None:
    """Sort out reports that say nothing about the program.

    Args:
        report: From the guest.
        order: What it was about.
        trusted_kill: Whether the jail keeps programs from sending themselves SIGKILL, so that
            one must have come from outside.

    Raises:
        WorkerLost: The run did not really take place.
    """
    if report["why"] == "setup":
        raise WorkerLost(f"the run could not be set up: {report['note'] or 'it was killed'}")
    if report["why"] == "starved":
        raise WorkerLost("the run got next to no processor time", running=True)
    if not report["why"] and os.WIFSIGNALED(report["status"]):
        number = os.WTERMSIG(report["status"])
        if number == signal.SIGXCPU or (number == signal.SIGKILL and report["cpu"] > order["cpu"]):
            report["why"] = "cpu"
        elif number == signal.SIGKILL and trusted_kill:
            raise WorkerLost("the run was killed from outside", running=True)


def _ending(report: dict[str, Any]) -> str:
    status = report["status"]
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            return f"it was killed by {signal.Signals(number).name}"
        except ValueError:
            return f"it was killed by signal {number}"
    return f"it ended with exit code {os.WEXITSTATUS(status)}"


def _common(report: dict[str, Any], backend: str, attempts: int) -> dict[str, Any]:
    return {
        "backend": backend,
        "attempts": attempts,
        "cpu_seconds": report["cpu"],
        "wall_seconds": report["wall"],
        "stdout": report["stdout"].decode("utf-8", "replace"),
        "stderr": report["stderr"].decode("utf-8", "replace"),
        "truncated": report["truncated"],
    }


def call_verdict(
    job: FunctionJob, report: dict[str, Any], limits: Limits, backend: str, attempts: int
) -> Verdict:
    """Judge the results of a function job."""
    common = _common(report, backend, attempts)
    count = len(job.inputs)
    limit = _LIMIT_STATUS.get(report["why"])
    try:
        frames, done = _frames(report["results"], count, cut=limit is not None)
    except Corrupt as error:
        if limit is None:
            limit = ("error", f"the result channel was tampered with: {error}")
        tests = [TestResult("error", limit[1])] * count
        return Verdict(limit[0], tuple(tests), detail=limit[1], **common)  # type: ignore[arg-type]
    if frames and frames[0][0] == BROKEN:
        detail = _text(frames[0][1]) or "the program could not be loaded"
        tests = [TestResult("not_run")] * count
        status = limit[0] if limit else "error"
        return Verdict(status, tuple(tests), detail=detail, **common)  # type: ignore[arg-type]
    decoder = ResultDecoder([body if kind == VALUE else b"" for kind, body in frames], limits)
    tests = [_judge_frame(job, i, *frame, decoder) for i, frame in enumerate(frames)]
    if limit is not None:
        stopped = TestResult(*limit)  # type: ignore[arg-type]
        if len(tests) == count:  # it went over the limit after its last result
            tests.pop()
        tests.append(stopped)
    elif not done and not (tests and tests[-1].status == "memory"):
        detail = f"{_ending(report)} before it had run all tests"
        if len(tests) == count:
            tests.pop()
        tests.append(TestResult("error", detail))
    tests += [TestResult("not_run")] * (count - len(tests))
    first = next((test for test in tests if test.status != "pass"), None)
    if first is None:
        return Verdict("pass", tuple(tests), **common)
    return Verdict(first.status, tuple(tests), detail=first.detail, **common)  # type: ignore[arg-type]


def _frames(data: bytes, count: int, cut: bool) -> tuple[list[tuple[bytes, bytes]], bool]:
    """Split the result channel into frames, each in its place, and say if the end was there."""
    frames: list[tuple[bytes, bytes]] = []
    at = 0
    while at < len(data):
        if at + FRAME.size > len(data):
            if cut:
                break
            raise Corrupt("it ends within a frame")
        kind, index, length = FRAME.unpack_from(data, at)
        at += FRAME.size
        if at + length > len(data):
            if cut and kind in (VALUE, RAISED, NOT_PLAIN, TOO_BIG, BROKEN):
                break
            raise Corrupt("it ends within a frame")
        if kind == DONE:
            if index != count or len(frames) != count or length or at != len(data):
                raise Corrupt("its end is in the wrong place")
            return frames, True
        if kind not in (VALUE, RAISED, MEMORY, NOT_PLAIN, TOO_BIG, BROKEN):
            raise Corrupt("it holds something that is no result")
        if index != len(frames) or index >= count or (kind == BROKEN and frames):
            raise Corrupt("a result is there twice, is missing or is out of place")
        frames.append((kind, data[at : at + length]))
        at += length
    return frames, False


def _text(body: bytes) -> str:
    return body[: 4 * MAX_TEXT].decode("utf-8", "replace")[:MAX_TEXT]


def _judge_frame(
    job: FunctionJob, index: int, kind: bytes, body: bytes, decoder: ResultDecoder
) -> TestResult:
    text = _text(body) if kind != VALUE else ""
    if kind == RAISED:
        return TestResult("error", text)
    if kind == MEMORY:
        return TestResult("memory", "it ran out of memory")
    if kind == NOT_PLAIN:
        return TestResult("fail", f"it returned something else than plain data: {text}")
    if kind == TOO_BIG:
        return TestResult("output_limit", text)
    try:
        value = decoder.decode(index)
    except TooBig as error:
        return TestResult("output_limit", str(error))
    except Corrupt as error:
        return TestResult("error", f"the result channel was tampered with: {error}")
    detail = difference(job.expected[index], value, rel_tol=job.rel_tol, abs_tol=job.abs_tol)
    return TestResult("fail" if detail else "pass", detail, value)


def run_result(report: dict[str, Any], backend: str, attempts: int) -> RunResult:
    """Say what a script did."""
    common = _common(report, backend, attempts)
    if report["why"] in _LIMIT_STATUS:
        status, detail = _LIMIT_STATUS[report["why"]]
        return RunResult(status, detail=detail, **common)  # type: ignore[arg-type]
    code = report["status"]
    exit_code = -os.WTERMSIG(code) if os.WIFSIGNALED(code) else os.WEXITSTATUS(code)
    if report["results"]:
        # The only thing a script's runner ever says there.
        if report["results"] == FRAME.pack(MEMORY, 0, 0):
            detail = "it ran out of memory"
            return RunResult("memory", exit_code, detail=detail, **common)
        detail = "the result channel was tampered with"
        return RunResult("error", exit_code, detail=detail, **common)
    if exit_code == 0:
        return RunResult("ok", 0, **common)
    return RunResult("error", exit_code, detail=_ending(report), **common)


def judge_run(result: RunResult, printed: bytes, expected: str) -> TestResult:
    """Judge one run of a script against what it must print."""
    if result.status == "infrastructure":
        return TestResult("not_run", result.detail)
    if result.status != "ok":
        return TestResult(result.status, result.detail, result.stdout)
    if not same_output(expected.encode("utf-8", "surrogateescape"), printed):
        return TestResult("fail", "it printed something else", result.stdout)
    return TestResult("pass", "", result.stdout)


def script_verdict(
    count: int, results: list[RunResult], tests: list[TestResult], backend: str
) -> Verdict:
    """Put the runs of a script together.

    Args:
        count: How many tests there are.
        results: The runs there were, at least one.
        tests: The judgement on each.
        backend: The backend's name.
    """
    bad = next((i for i, test in enumerate(tests) if test.status != "pass"), None)
    shown = results[-1 if bad is None else bad]
    status: str = "pass" if bad is None else tests[bad].status
    if any(result.status == "infrastructure" for result in results):
        shown, status = results[-1], "infrastructure"
    return Verdict(
        status,  # type: ignore[arg-type]
        tuple(tests) + (TestResult("not_run"),) * (count - len(tests)),
        backend,
        shown.detail if bad is None else tests[bad].detail,
        cpu_seconds=sum(result.cpu_seconds for result in results),
        wall_seconds=sum(result.wall_seconds for result in results),
        stdout=shown.stdout,
        stderr=shown.stderr,
        truncated=shown.truncated,
        attempts=max(result.attempts for result in results),
    )
