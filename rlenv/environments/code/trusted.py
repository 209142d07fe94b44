"""The trusted checker: tests that can't be taken apart, in a process of their own.

The tests call `candidate` where the candidate would be; there they find a table of answers. A
first run, with the reference in the candidate's place, tells which calls they make. The candidate
is asked those calls in its own process, and a second run of the tests gets what it answered, as
plain data. Should the tests make other calls than expected, because an argument depends on an
answer, the candidate is asked those too, and the tests run again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from rlenv.environments.code.guest import WITH_TESTS
from rlenv.environments.code.problem import CodeProblem
from rlenv.environments.code.running import CallOutcome, SandboxFailed
from rlenv.sandbox import FunctionJob, Sandbox

_MOST_ROUNDS = 40
_PATIENCE = 5.0  # times the limit of one test; the tests are not the candidate's work


class TestsBroken(Exception):
    """The tests themselves fail; that says nothing about the candidate."""

    __test__ = False


def expected_calls(sandbox: Sandbox, problem: CodeProblem, tests: str, seconds: float) -> list[str]:
    """Return the calls that the tests make of the reference; none where there is no reference.

    Raises:
        SandboxFailed: the sandbox itself failed.
    """
    return list(_recorded(sandbox, problem, tests, seconds))


@lru_cache(maxsize=1024)
def _recorded(
    sandbox: Sandbox, problem: CodeProblem, tests: str, seconds: float
) -> tuple[str, ...]:
    if not problem.solution:
        return ()
    said, calls, _ = _run_tests(sandbox, problem, tests, None, seconds)
    return tuple(calls) if said == "passed" else ()


def check(
    sandbox: Sandbox,
    problem: CodeProblem,
    tests: str,
    known: dict[str, CallOutcome],
    ask: Callable[[Sequence[str]], Sequence[CallOutcome]],
    seconds: float,
) -> tuple[bool, str]:
    """Run tests on what the candidate answers.

    Args:
        sandbox: where to run them.
        problem: whose prelude and reference the tests may use.
        tests: a program.
        known: answers of the candidate, by call.
        ask: runs the candidate on calls and returns its answers.
        seconds: the limit of one test.

    Returns:
        Whether they passed, and what failed.

    Raises:
        SandboxFailed: the sandbox itself failed.
        TestsBroken: they never came to an end, and no reference tells that they could.
    """
    calls = expected_calls(sandbox, problem, tests, seconds)
    known = dict(known)
    for _ in range(_MOST_ROUNDS):
        new = [call for call in dict.fromkeys(calls) if call not in known]
        if new:
            known.update(zip(new, ask(new), strict=True))
        bad = next((known[c] for c in calls if known[c].kind not in _ANSWERS), None)
        if bad is not None:
            return False, bad.text
        answers = [[call, _as_plain(known[call])] for call in calls]
        said, calls, text = _run_tests(sandbox, problem, tests, answers, seconds)
        if said != "unknown":
            return said == "passed", text
    what = "the tests' calls depend on answers, and on more of them than is allowed for"
    if expected_calls(sandbox, problem, tests, seconds):  # of the reference they did not
        return False, what
    raise TestsBroken(what)


_ANSWERS = ("value", "object", "raised")


def _as_plain(outcome: CallOutcome) -> tuple[Any, ...]:
    if outcome.kind == "raised":
        return "raised", list(outcome.classes), outcome.text[-500:]
    return outcome.kind, outcome.value


def _run_tests(
    sandbox: Sandbox, problem: CodeProblem, tests: str, answers: Any, seconds: float
) -> tuple[str, list[str], str]:
    """Run the tests once; tests that a hostile answer keeps from ending have failed."""
    reference = problem.solution or "pass"
    world = CodeProblem.program(problem, reference)
    job = FunctionJob(
        WITH_TESTS,
        "serve",
        [(world, tests, problem.entry_point, answers)],
        [None],
        cpu_seconds=seconds * _PATIENCE,
    )
    verdict = sandbox.judge_job(job)
    if verdict.status == "infrastructure":
        raise SandboxFailed(verdict.detail)
    match verdict.tests[0].value:
        case (str(said), list(calls), str(text)):
            return said, calls, text
    return "failed", [], verdict.detail
