"""Judging a program against a problem's tests."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

from rlenv.environments.code import checks, trusted
from rlenv.environments.code.asserts import Expectation
from rlenv.environments.code.problem import CodeProblem, plan
from rlenv.environments.code.running import REHEARSAL, CallOutcome, SandboxFailed, run_calls
from rlenv.sandbox import Limits, Sandbox, ScriptJob, Verdict

_REMEMBERED = 4096  # verdicts; policies say the same thing over and over
_LIMITS = ("timeout", "memory", "output_limit")


@dataclass(frozen=True)
class Judgement:
    """What the tests say of a program.

    Attributes:
        examples: for each shown test, whether it passed.
        tests: for each hidden test, whether it passed.
        compiled: whether the program is Python.
        stopped: `timeout`, `memory` or `output_limit` where a limit ended it, else empty.
        feedback: what a person may be told: the traceback, or the first shown test that failed.
        cpu_seconds: the program took, in all its processes.
    """

    examples: tuple[bool, ...]
    tests: tuple[bool, ...]
    compiled: bool
    stopped: str = ""
    feedback: str = ""
    cpu_seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether every test passed, shown or hidden."""
        return all(self.examples) and all(self.tests)

    @property
    def share(self) -> float:
        """The share of the hidden tests that passed."""
        return sum(self.tests) / len(self.tests)


class CodeGrader:
    """Judges programs in a sandbox, several at once. Safe to use from threads.

    Args:
        seconds: processor time of each test.
        memory_mb: memory of a program, in MiB.
        backend: of the sandbox, see `sandbox.Sandbox`.
        workers: how many programs run at once; by default one for each core.
    """

    def __init__(
        self,
        seconds: float = 2.0,
        memory_mb: int = 256,
        backend: str = "auto",
        workers: int | None = None,
    ) -> None:
        self.seconds = seconds
        limits = Limits(cpu_seconds=seconds, memory_bytes=memory_mb << 20)
        self.sandbox = Sandbox(backend, workers, limits, rehearsal=[REHEARSAL])
        self._threads = ThreadPoolExecutor(self.sandbox.workers, "judge")
        self._lock = threading.Lock()
        self._verdicts: OrderedDict[tuple[CodeProblem, str], Future[Judgement]] = OrderedDict()

    def submit(self, problem: CodeProblem, program: str) -> Future[Judgement]:
        """Begin to judge a program; the same one is judged only once.

        Args:
            problem: with the tests.
            program: as `CodeProblem.program` makes it.

        Returns:
            The judgement to come. It raises `SandboxFailed` or `trusted.TestsBroken` where
            nothing can be said about the program.
        """
        key = (problem, program)
        with self._lock:
            future = self._verdicts.get(key)
            if future is None or (future.done() and not _lasts(future)):
                future = self._threads.submit(self.judge, problem, program)
                self._verdicts[key] = future
            self._verdicts.move_to_end(key)
            while len(self._verdicts) > _REMEMBERED:
                self._verdicts.popitem(last=False)
        return future

    def judge(self, problem: CodeProblem, program: str) -> Judgement:
        """Judge a program here and now, whether or not it was judged before."""
        if problem.runs:
            return self._judge_script(problem, program)
        return self._judge_function(problem, program)

    def judge_many(self, programs: Iterable[tuple[CodeProblem, str]]) -> list[Judgement]:
        """Judge programs on all workers at once, whether or not they were judged before."""
        return list(self._threads.map(lambda pair: self.judge(*pair), programs))

    def audit(self, problem: CodeProblem, program: str) -> bool:
        """Say whether a program passes the tests that no reward uses, too."""
        if not problem.audit:
            raise ValueError("the problem has no tests for an audit")
        audited = CodeProblem(problem.entry_point, problem.prelude, tests=problem.audit)
        return self.submit(audited, program).result().passed

    def close(self) -> None:
        """End the workers."""
        self._threads.shutdown(cancel_futures=True)
        self.sandbox.close()

    def _judge_function(self, problem: CodeProblem, program: str) -> Judgement:
        asked = plan(problem)
        sandbox, seconds = self.sandbox, self.seconds
        expected = (*asked.examples, *asked.tests)
        calls = dict.fromkeys(e.call for e in expected)
        for tests in asked.rest:
            calls.update(dict.fromkeys(trusted.expected_calls(sandbox, problem, tests, seconds)))
        ran = run_calls(sandbox, program, [*calls], seconds)
        if ran.loaded.kind != "value":
            return _broken(ran.loaded, len(asked.examples), len(asked.tests) + len(asked.rest))
        answers = dict(zip(calls, ran.calls, strict=True))

        def ask(more: Sequence[str]) -> Sequence[CallOutcome]:
            return run_calls(sandbox, program, more, seconds).calls

        examples = tuple(meets(answers[e.call], e) for e in asked.examples)
        hidden = [meets(answers[e.call], e) for e in asked.tests]
        for tests in asked.rest:
            passed, _ = trusted.check(sandbox, problem, tests, answers, ask, seconds)
            hidden.append(passed)
        return Judgement(
            examples,
            tuple(hidden),
            compiled=True,
            stopped=next((o.kind for o in ran.calls if o.kind in _LIMITS), ""),
            feedback=_feedback(asked.examples, examples, answers),
            cpu_seconds=ran.cpu_seconds,
        )

    def _judge_script(self, problem: CodeProblem, program: str) -> Judgement:
        runs = (*problem.example_runs, *problem.runs)
        stdins, stdouts = zip(*runs, strict=True)
        verdict = self.sandbox.judge_job(ScriptJob(program, stdins, stdouts, self.seconds))
        if verdict.status == "infrastructure":
            raise SandboxFailed(verdict.detail)
        passed = tuple(test.status == "pass" for test in verdict.tests)
        shown = len(problem.example_runs)
        return Judgement(
            passed[:shown],
            passed[shown:],
            compiled="SyntaxError" not in verdict.stderr.rpartition("\n  ")[2],
            stopped=verdict.status if verdict.status in _LIMITS else "",
            feedback=_script_feedback(problem, verdict, passed[:shown]),
            cpu_seconds=verdict.cpu_seconds,
        )


def meets(outcome: CallOutcome, expectation: Expectation) -> bool:
    """Say whether a call came to what was expected; the decision is made in this process."""
    if expectation.raises:
        return outcome.kind == "raised" and bool({*outcome.classes} & {*expectation.raises})
    if outcome.kind != "value":
        return False
    return expectation.check is None or checks.holds(expectation.check, outcome.value)


def _broken(loaded: CallOutcome, examples: int, tests: int) -> Judgement:
    return Judgement(
        (False,) * examples,
        (False,) * tests,
        compiled=loaded.compiled,
        stopped=loaded.kind if loaded.kind in _LIMITS else "",
        feedback=loaded.text,
    )


def _feedback(
    examples: Sequence[Expectation], passed: Sequence[bool], answers: dict[str, CallOutcome]
) -> str:
    """Say which shown test failed first, and what came instead."""
    for expectation, right in zip(examples, passed, strict=True):
        if right:
            continue
        outcome = answers[expectation.call]
        happened = outcome.text
        if outcome.kind == "value":
            happened = f"{expectation.call} returned {_shown(outcome.value)}"
        elif outcome.kind == "timeout":
            happened = "It took too long."
        elif outcome.kind == "memory":
            happened = "It took too much memory."
        elif outcome.kind == "not_run":
            happened = "The program had ended before."
        return f"This test failed:\n{expectation.source}\n{happened}"
    return ""


def _script_feedback(problem: CodeProblem, verdict: Verdict, passed: Sequence[bool]) -> str:
    for (stdin, stdout), right, test in zip(
        problem.example_runs, passed, verdict.tests, strict=False
    ):
        if not right:
            printed = test.value if isinstance(test.value, str) else ""
            return (
                f"This test failed:\ninput:\n{stdin}\nexpected output:\n{stdout}\n"
                f"your output:\n{printed}\n{test.detail}"
            )
    return ""


def _shown(value: object) -> str:
    try:
        return repr(value)
    except (ValueError, RecursionError):  # an integer of too many digits
        return f"a {type(value).__name__}"


def _lasts(future: Future[Judgement]) -> bool:
    """Whether a judgement holds for good; a time-out might have been the machine's fault."""
    return future.exception() is None and not future.result().stopped


@lru_cache(maxsize=8)
def shared_grader(seconds: float, memory_mb: int, backend: str) -> CodeGrader:
    """Return this process's grader of these limits; its workers start with the first program."""
    return CodeGrader(seconds, memory_mb, backend)


# threads do not survive a fork, and a forked process must not wait for those of its parent
os.register_at_fork(after_in_child=shared_grader.cache_clear)
