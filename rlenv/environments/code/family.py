"""Small functions made from steps, with their tests: tasks without end, from easy to hard.

A function is a pipeline of two or three steps on a number, a list of numbers or a text. Its words,
its code and what it does are drawn together, so that expected values come from our own functions
and no generated text is ever run. Two functions that do the same on every probe are one task,
however they are worded, and so fall into the same split.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from rlenv.environments.code.problem import CodeProblem

_HIDDEN, _SHOWN, _AUDIT = 8, 2, 24


@dataclass(frozen=True)
class FunctionStep:
    """One step of a pipeline.

    Attributes:
        words: says it; `{c}` is its constant.
        code: does it to the variable, on lines of their own.
        apply: does it to a value, given the constant.
        constants: what the constant is drawn from; empty where there is none.
    """

    words: str
    code: str
    apply: Callable[[Any, Any], Any]
    constants: Sequence[Any] = (None,)


@dataclass(frozen=True)
class Kind:
    """What functions work on.

    Attributes:
        variable: the parameter's name.
        takes: says what it is.
        draw: makes an argument.
        edges: arguments that always come up.
        steps: what may be done to it.
        ends: what may be done last, instead of giving back what the steps made.
    """

    variable: str
    takes: str
    draw: Callable[[random.Random], Any]
    edges: Sequence[Any]
    steps: Sequence[FunctionStep]
    ends: Sequence[FunctionStep] = ()


_POLYNOMIAL = (
    FunctionStep("add {c}", "x = x + {c}", lambda x, c: x + c, range(1, 100)),
    FunctionStep("subtract {c}", "x = x - {c}", lambda x, c: x - c, range(1, 100)),
    FunctionStep("multiply by {c}", "x = x * {c}", lambda x, c: x * c, range(2, 13)),
    FunctionStep("subtract from {c}", "x = {c} - x", lambda x, c: c - x, range(1, 100)),
)
_NUMERIC = (
    *_POLYNOMIAL,
    FunctionStep("square", "x = x * x", lambda x, c: x * x),
    FunctionStep("divide by {c}, rounding down", "x = x // {c}", lambda x, c: x // c, range(2, 10)),
    FunctionStep("take the remainder by {c}", "x = x % {c}", lambda x, c: x % c, range(5, 21)),
    FunctionStep("take the absolute value", "x = abs(x)", lambda x, c: abs(x)),
    FunctionStep("raise to at least {c}", "x = max(x, {c})", lambda x, c: max(x, c), range(-9, 21)),
    FunctionStep("cut to at most {c}", "x = min(x, {c})", lambda x, c: min(x, c), range(-9, 21)),
)
_CONDITIONAL = (
    FunctionStep(
        "if even, halve",
        "if x % 2 == 0:\n    x = x // 2",
        lambda x, c: x // 2 if x % 2 == 0 else x,
    ),
    FunctionStep(
        "if odd, add {c}",
        "if x % 2 == 1:\n    x = x + {c}",
        lambda x, c: x + c if x % 2 == 1 else x,
        range(1, 20),
    ),
    FunctionStep(
        "if below 0, add {c}",
        "if x < 0:\n    x = x + {c}",
        lambda x, c: x + c if x < 0 else x,
        range(1, 100),
    ),
    FunctionStep(
        "if above {c}, negate",
        "if x > {c}:\n    x = -x",
        lambda x, c: -x if x > c else x,
        range(0, 30),
    ),
)
_LIST = (
    FunctionStep(
        "keep the even ones",
        "v = [x for x in v if x % 2 == 0]",
        lambda v, c: [x for x in v if x % 2 == 0],
    ),
    FunctionStep(
        "keep the odd ones",
        "v = [x for x in v if x % 2 == 1]",
        lambda v, c: [x for x in v if x % 2 == 1],
    ),
    FunctionStep(
        "keep those above {c}",
        "v = [x for x in v if x > {c}]",
        lambda v, c: [x for x in v if x > c],
        range(-9, 10),
    ),
    FunctionStep(
        "keep those below {c}",
        "v = [x for x in v if x < {c}]",
        lambda v, c: [x for x in v if x < c],
        range(-9, 10),
    ),
    FunctionStep(
        "add {c} to each", "v = [x + {c} for x in v]", lambda v, c: [x + c for x in v], range(1, 20)
    ),
    FunctionStep(
        "multiply each by {c}",
        "v = [x * {c} for x in v]",
        lambda v, c: [x * c for x in v],
        range(2, 13),
    ),
    FunctionStep("square each", "v = [x * x for x in v]", lambda v, c: [x * x for x in v]),
    FunctionStep("negate each", "v = [-x for x in v]", lambda v, c: [-x for x in v]),
    FunctionStep("reverse", "v = v[::-1]", lambda v, c: v[::-1]),
    FunctionStep("sort", "v = sorted(v)", lambda v, c: sorted(v)),
    FunctionStep("drop the first {c}", "v = v[{c}:]", lambda v, c: v[c:], range(1, 4)),
    FunctionStep("keep the first {c}", "v = v[:{c}]", lambda v, c: v[:c], range(2, 6)),
    FunctionStep(
        "remove repeats", "v = list(dict.fromkeys(v))", lambda v, c: list(dict.fromkeys(v))
    ),
)
_LIST_ENDS = (
    FunctionStep("sum", "v = sum(v)", lambda v, c: sum(v)),
    FunctionStep("count", "v = len(v)", lambda v, c: len(v)),
    FunctionStep("largest, or 0", "v = max(v, default=0)", lambda v, c: max(v, default=0)),
    FunctionStep("smallest, or 0", "v = min(v, default=0)", lambda v, c: min(v, default=0)),
)
_TEXT = (
    FunctionStep("reverse", "s = s[::-1]", lambda s, c: s[::-1]),
    FunctionStep("upper case", "s = s.upper()", lambda s, c: s.upper()),
    FunctionStep("lower case", "s = s.lower()", lambda s, c: s.lower()),
    FunctionStep("swap case", "s = s.swapcase()", lambda s, c: s.swapcase()),
    FunctionStep("sort the characters", 's = "".join(sorted(s))', lambda s, c: "".join(sorted(s))),
    FunctionStep(
        "remove every {c}", 's = s.replace("{c}", "")', lambda s, c: s.replace(c, ""), "abcdeABC"
    ),
    FunctionStep(
        "turn every {c} into _",
        's = s.replace("{c}", "_")',
        lambda s, c: s.replace(c, "_"),
        "abcdeABC",
    ),
    FunctionStep("append {c}", 's = s + "{c}"', lambda s, c: s + c, "abcdexyzABC"),
    FunctionStep("prepend {c}", 's = "{c}" + s', lambda s, c: c + s, "abcdexyzABC"),
    FunctionStep("drop the first {c}", "s = s[{c}:]", lambda s, c: s[c:], range(1, 5)),
    FunctionStep("keep the first {c}", "s = s[:{c}]", lambda s, c: s[:c], range(2, 7)),
    FunctionStep("repeat {c} times", "s = s * {c}", lambda s, c: s * c, range(2, 4)),
)
_TEXT_ENDS = (
    FunctionStep("count every {c}", 's = s.count("{c}")', lambda s, c: s.count(c), "abcdeABC"),
    FunctionStep("length", "s = len(s)", lambda s, c: len(s)),
)


def _number(rng: random.Random) -> int:
    return rng.choice((rng.randint(-30, 30), rng.randint(-30, 30), rng.randint(-500, 500)))


def _numbers(rng: random.Random) -> list[int]:
    return [rng.randint(-20, 20) for _ in range(rng.randint(3, 8))]


def _letters(rng: random.Random) -> str:
    return "".join(rng.choices("abcdeABC", k=rng.randint(4, 9)))


_OF_NUMBERS = Kind("x", "a whole number", _number, (0, 1, -7), _NUMERIC)
_OF_POLYNOMIALS = Kind("x", "a whole number", _number, (0, 1, -7), _POLYNOMIAL)
_OF_LISTS = Kind("v", "a list of whole numbers", _numbers, ([],), _LIST, _LIST_ENDS)
_OF_TEXTS = Kind("s", "a text", _letters, ("", "aBcA"), _TEXT, _TEXT_ENDS)


@dataclass(frozen=True)
class FunctionLevel:
    """How hard a task is.

    Attributes:
        kind: what the function works on.
        steps: how many there are.
        conditional: the last step depends on a condition.
        by_example: the prompt says what the function does by examples alone.
    """

    kind: Kind
    steps: int
    conditional: bool = False
    by_example: bool = False


LEVELS = {
    1: FunctionLevel(_OF_NUMBERS, 1),
    2: FunctionLevel(_OF_NUMBERS, 2),
    3: FunctionLevel(_OF_NUMBERS, 3, conditional=True),
    4: FunctionLevel(_OF_LISTS, 3),
    5: FunctionLevel(_OF_TEXTS, 3),
    6: FunctionLevel(_OF_POLYNOMIALS, 2, by_example=True),
}


@dataclass(frozen=True)
class Function:
    """A function that was drawn.

    Attributes:
        level: it was drawn for.
        specification: one line.
        solution: its code.
        problem: its tests.
        behaviour: what it makes of the probes; equal for functions that do the same.
    """

    level: FunctionLevel
    specification: str
    solution: str
    problem: CodeProblem
    behaviour: str


def draw(level: FunctionLevel, rng: random.Random) -> Function:
    """Draw a function that depends on its argument and changes it."""
    while True:
        steps = _steps(level, rng)
        arguments = _arguments(level.kind, rng, _HIDDEN + _SHOWN + _AUDIT)
        results = [_result(steps, argument) for argument in arguments]
        hidden = slice(0, _HIDDEN)
        changed = [r for a, r in zip(arguments[hidden], results[hidden], strict=True) if a != r]
        if len(changed) < _HIDDEN // 2 or len({repr(r) for r in results[hidden]}) < 4:
            continue  # a constant, or what gives back its argument, would do too well
        tests = [f"assert f({a!r}) == {r!r}" for a, r in zip(arguments, results, strict=True)]
        solution = _code(level.kind.variable, steps)
        return Function(
            level,
            ", then ".join(step.words.format(c=c) for step, c in steps),
            solution,
            CodeProblem(
                "f",
                examples=tuple(tests[_HIDDEN : _HIDDEN + _shown(level)]),
                tests=tuple(tests[hidden]),
                audit=tuple(tests[-_AUDIT:]),
                solution=solution,
            ),
            _behaviour(level.kind, steps),
        )


def _shown(level: FunctionLevel) -> int:
    # two points tell a line from every other
    return _SHOWN if not level.by_example else _SHOWN + 2


Pipeline = list[tuple[FunctionStep, Any]]


def _steps(level: FunctionLevel, rng: random.Random) -> Pipeline:
    kind = level.kind
    chosen = rng.sample(kind.steps, level.steps)
    if level.conditional:
        chosen[-1] = rng.choice(_CONDITIONAL)
    elif kind.ends and rng.random() < 0.5:
        chosen[-1] = rng.choice(kind.ends)
    return [(step, rng.choice(step.constants)) for step in chosen]


def _arguments(kind: Kind, rng: random.Random, count: int) -> list[Any]:
    """Draw different arguments, the edges among the first of them."""
    found = {repr(edge): edge for edge in kind.edges}
    while len(found) < count:
        argument = kind.draw(rng)
        found.setdefault(repr(argument), argument)
    return list(found.values())


def _result(steps: Pipeline, argument: Any) -> Any:
    for step, constant in steps:
        argument = step.apply(argument, constant)
    return argument


def _code(variable: str, steps: Pipeline) -> str:
    lines = [line for step, c in steps for line in step.code.format(c=c).split("\n")]
    body = "".join(f"    {line}\n" for line in lines)
    return f"def f({variable}):\n{body}    return {variable}"


def _behaviour(kind: Kind, steps: Pipeline) -> str:
    return repr([_result(steps, probe) for probe in _probes(kind.variable)])


@lru_cache
def _probes(variable: str) -> list[Any]:
    kind = next(level.kind for level in LEVELS.values() if level.kind.variable == variable)
    return _arguments(kind, random.Random(0), 40)
