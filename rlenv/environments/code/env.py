"""Write a program that passes tests."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import rlenv
from rlenv import parsing
from rlenv.core.episode import StepResult
from rlenv.core.rows import Rows, column
from rlenv.core.task import Message
from rlenv.environments.code import family
from rlenv.environments.code.grader import CodeGrader, Judgement, shared_grader
from rlenv.environments.code.problem import (
    CodeProblem,
    called_by,
    plan,
    read_tests,
    require_known,
    turns_whole,
)

_FUNCTION = "Reply with the function in a Python code block."
_SCRIPT = (
    "Write a Python program that reads standard input and prints to standard output. Reply with "
    "it in a Python code block."
)


class Code(rlenv.SingleTurnEnv):
    """Write a Python program that passes tests.

    Tasks are small functions made from steps, in six levels, or the rows of a data set. A program
    runs in `sandbox`; what is expected of it stays outside. The components of the reward:
    `correct`, every test passed, shown or hidden; `share`, the share of the hidden tests that
    passed; `compiles`, the program is Python; `format`, the reply is a code block. By default
    `correct` alone counts.

    Args:
        level: of the generated functions, 1 (one step on a number) to 6 (two steps, told by
            examples alone).
        rows: tasks instead: a file, a `datasets` id or the rows, see `docs/code.md`.
        columns: which columns hold the parts of a task, such as `{"tests": "test_list"}`.
        shown: how many tests of a row without examples its prompt shows; those are not hidden.
        instructions: the prompt says what to do and asks for a code block. Without, it is the
            task alone, the reply is to be bare code, and generated functions have no examples in
            their prompt unless those are the task.
        seconds: of processor time that each test may take.
        memory_mb: of memory that a program may take, in MiB.
        backend: of the sandbox: `auto`, `namespaces`, `landlock` or `docker`.
        rubric: other weights of the components.
        **kwargs: see `rlenv.TextEnv`.

    Example:
        >>> env = rlenv.make("rlenv/Code-v0", level=1, instructions=False)
        >>> env.reset(seed=0)[0]
        'f(x): square'
    """

    step_timeout = None  # the sandbox has limits, and a step waits for the others' programs

    rubric = rlenv.Rubric(correct=1.0, share=0.0, compiles=0.0, format=0.0)

    def __init__(
        self,
        *,
        level: int = 2,
        rows: str | Path | Rows | None = None,
        columns: Mapping[str, str] | None = None,
        shown: int = 1,
        instructions: bool = True,
        seconds: float = 2.0,
        memory_mb: int = 256,
        backend: str = "auto",
        **kwargs: Any,
    ) -> None:
        if level not in family.LEVELS:
            last = max(family.LEVELS)
            raise rlenv.UserError(f"level is {min(family.LEVELS)} to {last}, not {level}")
        if shown < 0 or seconds <= 0 or memory_mb < 1:
            raise rlenv.UserError("shown is at least 0, seconds above 0, memory_mb at least 1")
        require_known(columns or {})
        self.level, self.shown, self.instructions = level, shown, instructions
        self.limits = (float(seconds), int(memory_mb), backend)
        super().__init__(rows=rows, columns=columns, **kwargs)

    @property
    def grader(self) -> CodeGrader:
        """What judges the programs; this process's environments share one."""
        return shared_grader(*self.limits)

    # Tasks

    def options(self) -> dict[str, Any]:
        """Return what changes the tasks."""
        return {"level": self.level, "instructions": self.instructions}

    def generate(self, rng: random.Random) -> rlenv.Task:
        """Draw a function; what it does makes it the task it is."""
        level = family.LEVELS[self.level]
        function = family.draw(level, rng)
        head = function.solution.partition("\n")[0].removeprefix("def ").rstrip(":")
        text = f"{head}: {function.specification}"
        if self.instructions:
            text = (
                f"Write a Python function {head} that takes {level.kind.takes} and returns "
                f"what these steps make of it: {function.specification}."
            )
        if level.by_example:
            text = f"Write a Python function {head}." if self.instructions else head
        shown = self.instructions or level.by_example
        return self._task(
            text,
            function.problem,
            identity=["function", function.behaviour],
            metadata={"level": self.level},
            examples=function.problem.examples if shown else (),
        )

    def from_row(self, row: Mapping[str, Any]) -> rlenv.Task:
        """Make a task of a row; it is the same task whatever its tests and solution."""

        def part(name: str, otherwise: Any = "") -> Any:
            found = row.get(self.columns.get(name, name))
            return otherwise if found is None else found

        text = str(column(row, self.columns["prompt"])).strip()
        solution = _lines(part("solution"))
        entry_point = str(part("entry_point"))
        asserts = [test for test in part("tests", ()) if isinstance(test, str)]
        if asserts and not entry_point and solution:
            entry_point = called_by(asserts, solution)
        tests, runs = read_tests(part("tests", None), entry_point)
        examples, example_runs = read_tests(part("examples", None), entry_point)
        if not (examples or example_runs) and len(tests or runs) > self.shown:
            example_runs, runs = runs[: self.shown], runs[self.shown :]
            first = tests[: self.shown]
            rest = tuple(test for test in tests if test not in first)
            if rest and all(turns_whole(test, entry_point) for test in first):
                examples, tests = first, rest
        problem = CodeProblem(
            entry_point,
            _lines(part("prelude")),
            _lines(part("setup")),
            examples,
            tests,
            runs,
            example_runs,
            read_tests(part("audit", None), entry_point)[0],
            solution,
        )
        plan(problem)  # says now what is wrong with the tests
        return self._task(
            text,
            problem,
            identity=["program", " ".join(text.split())],
            metadata={},
            examples=examples or [_shown_run(*run) for run in example_runs],
        )

    def _task(
        self,
        text: str,
        problem: CodeProblem,
        *,
        identity: Any,
        metadata: Mapping[str, Any],
        examples: Sequence[str],
    ) -> rlenv.Task:
        parts = [text]
        name = problem.entry_point.rpartition(".")[2]
        if not re.search(rf"\b{name}\b", " ".join((text, *examples))):
            parts.append(f"The function is called {name}.")
        if examples:
            parts.append("\n".join(examples) if problem.entry_point else "\n\n".join(examples))
        if self.instructions:
            parts.append(_FUNCTION if problem.entry_point else _SCRIPT)
        return rlenv.Task(
            "\n\n".join(parts),
            answer=problem.solution or None,
            metadata={**metadata, **problem.as_metadata()},
            identity=identity,
        )

    # Replies

    def answer_in(self, task: rlenv.Task, reply: str) -> str | None:
        """Return None: programs that do the same differ in their text, so they can't vote."""
        return None

    def demonstrate(self, task: rlenv.Task, messages: Sequence[Message]) -> str | None:
        """Return the reference solution."""
        if task.answer is None:
            return None
        return f"```python\n{task.answer}\n```" if self.instructions else str(task.answer)

    def announce(self, reply: str) -> None:
        """Begin to judge a reply in another process, before `step` asks for the verdict."""
        if self.task is not None and (code := _code(reply)[0]).strip():
            problem = CodeProblem.of(self.task.metadata)
            self.grader.submit(problem, problem.program(code))

    def score(self, task: rlenv.Task, reply: str) -> rlenv.Reward:
        """Give what the tests say of the program."""
        return self._judge(task, reply)[0]

    def audit(self, task: rlenv.Task, reply: str) -> bool | None:
        """Say whether a reply's program also passes the tests that no reward uses, if there are."""
        problem = CodeProblem.of(task.metadata)
        if not problem.audit:
            return None
        return self.grader.audit(problem, problem.program(_code(reply)[0]))

    def _judge(self, task: rlenv.Task, reply: str) -> tuple[rlenv.Reward, Judgement | None]:
        code, fenced = _code(reply)
        if not code.strip():
            return self._reward({}, "unparseable", "the reply holds no program"), None
        problem = CodeProblem.of(task.metadata)
        judgement = self.grader.submit(problem, problem.program(code)).result()
        status: Any = "ok"
        if judgement.stopped == "timeout":
            status = "timeout"
        elif not judgement.compiled and not fenced:
            status = "unparseable"
        reward = self._reward(
            {
                "correct": judgement.passed,
                "share": judgement.share,
                "compiles": judgement.compiled,
                "format": fenced == self.instructions and judgement.compiled,
            },
            status,
            f"{sum(judgement.tests)} of {len(judgement.tests)} hidden tests passed",
        )
        return reward, judgement

    def _reward(self, measured: Mapping[str, float], status: Any, detail: str) -> rlenv.Reward:
        assert self.rubric is not None
        values = {name: float(measured.get(name, 0.0)) for name in self.rubric.weights}
        return self.rubric(values, status=status, detail=detail)


class CodeRepair(Code):
    """Write a program that passes tests, with another try when a shown test fails.

    A program that passes the shown tests, or is the last try, is what is judged. Until then the
    policy is told the first shown test that failed, with what came instead or the traceback.
    Hidden tests have no part in what it is told.

    Args:
        tries: how many programs it may send.
        feedback: the longest feedback, in characters.
        **kwargs: see `Code`.
    """

    def __init__(self, *, tries: int = 3, feedback: int = 1000, **kwargs: Any) -> None:
        if tries < 1 or feedback < 1:
            raise rlenv.UserError("tries and feedback are at least 1")
        self.tries, self.feedback = tries, feedback
        kwargs.setdefault("max_turns", tries)
        super().__init__(**kwargs)

    def start(self, task: rlenv.Task) -> None:
        """Count the tries."""
        self.tried = 0

    def respond(self, task: rlenv.Task, reply: str) -> StepResult:
        """Judge a program, or say what is wrong with it."""
        self.tried += 1
        reward, judgement = self._judge(task, reply)
        if self.tried >= self.tries:
            return rlenv.done(reward=reward)
        if judgement is None:
            return rlenv.turn("There is no program in your reply.")
        if not judgement.feedback:
            return rlenv.done(reward=reward)
        return rlenv.turn(_capped(judgement.feedback, self.feedback))


def _code(reply: str) -> tuple[str, bool]:
    """Return the program in a reply, and whether it stood in one code block."""
    rest = parsing.after_thinking(reply)
    text = "" if rest is None else rest.text
    found = parsing.code(text, "python")
    return (text, False) if found is None else (found.text, found.clean)


def _capped(text: str, most: int) -> str:
    """Cut the middle out of a long text: its ends tell most."""
    if len(text) <= most:
        return text
    head = most // 3
    return f"{text[:head]}\n...\n{text[len(text) - (most - head) :]}"


def _lines(text: Any) -> str:
    return str(text).replace("\r\n", "\n").strip("\n")


def _shown_run(stdin: str, stdout: str) -> str:
    return f"Input:\n{stdin.rstrip()}\nOutput:\n{stdout.rstrip()}"
