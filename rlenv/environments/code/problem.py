"""What a programming task consists of, and how it is read from a row of data."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any

from rlenv.common.errors import UserError, did_you_mean
from rlenv.environments.code.asserts import Expectation, split

Tests = tuple[str, ...]
Runs = tuple[tuple[str, str], ...]  # what a script reads, and what it must print


@dataclass(frozen=True)
class CodeProblem:
    """A program to be written, and the tests that it must pass.

    Attributes:
        entry_point: the function under test, or `Class.method`; empty for a script.
        prelude: code that the candidate's program is appended to, such as HumanEval's prompt.
        setup: code that runs after the candidate's, beside it, before the tests.
        examples: tests that the prompt may show.
        tests: tests that it never shows.
        runs: for a script, hidden pairs of standard input and output.
        example_runs: pairs that the prompt may show.
        audit: tests that no reward ever uses; they tell learning from gaming.
        solution: a reference that follows the prelude, or an empty string.
    """

    entry_point: str = ""
    prelude: str = ""
    setup: str = ""
    examples: Tests = ()
    tests: Tests = ()
    runs: Runs = ()
    example_runs: Runs = ()
    audit: Tests = ()
    solution: str = ""

    def __post_init__(self) -> None:
        if self.entry_point and not all(p.isidentifier() for p in self.entry_point.split(".")):
            raise UserError(f"the entry point {self.entry_point!r} is no name of a function")
        if bool(self.entry_point) == bool(self.runs or self.example_runs):
            raise UserError(
                "a task needs either an entry_point and tests that call it, or tests with stdin "
                "and stdout"
            )
        if not (self.tests or self.runs):
            raise UserError("a task needs at least one hidden test")

    def program(self, reply: str) -> str:
        """Return the program that a reply's code makes, line breaks normalised."""
        text = f"{self.prelude}\n{reply}\n" if self.prelude else f"{reply}\n"
        if self.setup:
            text += f"\n{self.setup}\n"
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def as_metadata(self) -> dict[str, Any]:
        """Return the problem as JSON can hold it."""
        plain = json.loads(json.dumps(asdict(self)))
        return {name: value for name, value in plain.items() if value}

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> CodeProblem:
        """Return the problem that a task's metadata holds."""
        known = {field.name for field in fields(cls)}
        return cls(**{k: _frozen(v) for k, v in metadata.items() if k in known})


@dataclass(frozen=True)
class JudgingPlan:
    """How a problem's tests are judged.

    Attributes:
        examples: what the shown tests expect.
        tests: what the hidden ones expect.
        rest: programs with the tests that only the trusted checker can run.
    """

    examples: tuple[Expectation, ...]
    tests: tuple[Expectation, ...]
    rest: Tests


@lru_cache(maxsize=8192)
def plan(problem: CodeProblem) -> JudgingPlan:
    """Take a problem's tests apart.

    Raises:
        UserError: a test is no Python, or a shown one can't be turned into a call and a check.
    """
    shown, shown_rest = _expectations(problem, problem.examples)
    hidden, rest = _expectations(problem, problem.tests)
    if shown_rest:
        raise UserError(
            f"the example {shown_rest[0]!r} is no assert about one call of {problem.entry_point}; "
            "put it among the hidden tests"
        )
    return JudgingPlan(shown, hidden, rest)


def _expectations(problem: CodeProblem, tests: Tests) -> tuple[tuple[Expectation, ...], Tests]:
    found: list[Expectation] = []
    rest: list[str] = []
    for test in tests:
        try:
            parts = split(test, problem.entry_point)
        except SyntaxError as error:
            raise UserError(f"the test {test[:200]!r} is no Python: {error}") from None
        found += parts.expectations
        rest += [parts.rest] if parts.rest else []
    return tuple(found), tuple(rest)


def read_tests(value: Any, entry_point: str) -> tuple[Tests, Runs]:
    """Read a column of tests.

    Args:
        value: a test program; or a list whose items are asserts, `{"input": [arguments],
            "output": value}`, or `{"stdin": text, "stdout": text}`; or None.
        entry_point: the function under test.

    Returns:
        The tests as Python, and the pairs of standard input and output.

    Raises:
        UserError: something else is there.
    """
    if value is None or value == "":
        return (), ()
    if isinstance(value, str):
        return (value,), ()
    tests: list[str] = []
    runs: list[tuple[str, str]] = []
    for item in value:
        match item:
            case str():
                tests.append(item)
            case {"input": arguments, "output": output}:
                inputs = ", ".join(map(repr, _listed(arguments)))
                tests.append(f"assert {_called(entry_point)}({inputs}) == {output!r}")
            case {"stdin": str(stdin), "stdout": str(stdout)}:
                runs.append((stdin, stdout))
            case _:
                raise UserError(
                    f"a test is an assert, or has input and output, or stdin and stdout, all "
                    f"strings: not {item!r:.200}"
                )
    return tuple(tests), tuple(runs)


def _listed(arguments: Any) -> Sequence[Any]:
    if not isinstance(arguments, (list, tuple)):
        raise UserError(f"a test's input is the list of the arguments, not {arguments!r:.200}")
    return arguments


def _called(entry_point: str) -> str:
    head, _, method = entry_point.partition(".")
    return f"{head}().{method}" if method else head


def called_by(tests: Sequence[str], solution: str) -> str:
    """Return the function of the solution that the tests call.

    Raises:
        UserError: they call none.
    """
    try:
        defined = [s.name for s in ast.parse(solution).body if isinstance(s, ast.FunctionDef)]
        called = [node for test in tests for node in ast.walk(ast.parse(test))]
    except SyntaxError as error:
        raise UserError(f"a solution or a test is no Python: {error}") from None
    for node in called:
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in defined:
                return name
    raise UserError(
        f"the tests call none of the functions {', '.join(defined)}: name one as entry_point"
    )


def turns_whole(test: str, entry_point: str) -> bool:
    """Whether a test can be judged without the trusted checker."""
    try:
        return not split(test, entry_point).rest
    except SyntaxError:
        return False


def require_known(columns: Mapping[str, str]) -> None:
    """Raise a `UserError` where `columns` names what no task has."""
    known = [*(field.name for field in fields(CodeProblem)), "prompt"]
    for name in columns:
        if name not in known:
            raise UserError(
                f"a programming task has no {name!r}.{did_you_mean(name, known)} It has "
                f"{', '.join(known)}"
            )


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, (list, tuple)) else value
