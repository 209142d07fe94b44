"""Arithmetic too large to do in the head, with Python to do it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import rlenv
from rlenv import parsing
from rlenv.core.task import Message
from rlenv.environments.tools import calculator, python

TOOLS: dict[str, Callable[..., str]] = {"python": python, "calculator": calculator}


@dataclass(frozen=True)
class ArithmeticProblem:
    """A question with whole numbers in it.

    Attributes:
        asks: the question.
        answer: to it.
        works_out: an expression or a program for a tool; a program prints the answer.
        same_as: what makes it the problem it is.
    """

    asks: str
    answer: int
    works_out: str
    same_as: Any


def _digits(rng: random.Random, low: int, high: int) -> int:
    """Draw a number with low to high digits."""
    length = rng.randint(low, high)
    return rng.randrange(10 ** (length - 1), 10**length)


def _product(rng: random.Random) -> ArithmeticProblem:
    a, b = sorted((_digits(rng, 6, 10), _digits(rng, 6, 10)))
    return ArithmeticProblem(f"What is {b} * {a}?", a * b, f"{b} * {a}", ["product", a, b])


def _chain(rng: random.Random) -> ArithmeticProblem:
    a, b, c, d = (_digits(rng, 4, 7) for _ in range(4))
    text = f"{a} * {b} - {c} * {d}"
    return ArithmeticProblem(f"What is {text}?", a * b - c * d, text, ["expression", text])


def _power(rng: random.Random) -> ArithmeticProblem:
    base, exponent, modulus = _digits(rng, 3, 6), _digits(rng, 3, 6), _digits(rng, 4, 8)
    return ArithmeticProblem(
        f"What is the remainder of {base} to the power of {exponent}, divided by {modulus}?",
        pow(base, exponent, modulus),
        f"print(pow({base}, {exponent}, {modulus}))",
        ["power", base, exponent, modulus],
    )


def _divisor(rng: random.Random) -> ArithmeticProblem:
    shared = _digits(rng, 2, 5)
    a, b = sorted(shared * _digits(rng, 5, 8) for _ in range(2))
    return ArithmeticProblem(
        f"What is the greatest common divisor of {a} and {b}?",
        math.gcd(a, b),
        f"import math\nprint(math.gcd({a}, {b}))",
        ["divisor", a, b],
    )


def _fibonacci(rng: random.Random) -> ArithmeticProblem:
    n, modulus = rng.randint(50, 2000), _digits(rng, 4, 8)
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return ArithmeticProblem(
        f"The Fibonacci numbers begin with 1, 1, 2. What is the remainder of number {n}, divided "
        f"by {modulus}?",
        a % modulus,
        f"a, b = 0, 1\nfor _ in range({n}):\n    a, b = b, a + b\nprint(a % {modulus})",
        ["fibonacci", n, modulus],
    )


def _digit_sum(rng: random.Random) -> ArithmeticProblem:
    base, exponent = rng.randint(2, 99), rng.randint(50, 400)
    return ArithmeticProblem(
        f"What is the sum of the digits of {base} to the power of {exponent}?",
        sum(map(int, str(base**exponent))),
        f"print(sum(map(int, str({base} ** {exponent}))))",
        ["digits", base, exponent],
    )


LEVELS: Mapping[int, tuple[Callable[[random.Random], ArithmeticProblem], ...]] = {
    1: (_product, _chain),
    2: (_product, _chain, _power, _divisor),
    3: (_power, _divisor, _fibonacci, _digit_sum),
}


class PythonTool(rlenv.ToolEnv):
    """Work out numbers that are too large for the head, with Python in the sandbox.

    The answer is one whole number, alone or as `rlenv.parsing.integer` reads it. It is what
    counts: calling a tool earns nothing, and a policy that can do without may.

    Args:
        level: 1 (products and differences of products), 2 (also remainders of powers and greatest
            common divisors), 3 (nothing that one expression of + - * / would do).
        tools: `python`, `calculator` or both; the calculator alone does for level 1.
        **kwargs: see `rlenv.ToolEnv`.

    Raises:
        rlenv.UserError: no such level or tool.
    """

    rubric = rlenv.Rubric(correct=1.0)

    def __init__(
        self, *, level: int = 2, tools: Sequence[str] = ("python",), **kwargs: Any
    ) -> None:
        if level not in LEVELS:
            raise rlenv.UserError(f"level is {min(LEVELS)} to {max(LEVELS)}, not {level}")
        names = [tools] if isinstance(tools, str) else list(tools)
        if unknown := [name for name in names if name not in TOOLS]:
            raise rlenv.UserError(f"tools are {' and '.join(TOOLS)}, not {unknown[0]!r}")
        if level > 1 and "python" not in names:
            raise rlenv.UserError(f"the calculator alone can't do level {level}; add python")
        self.level = level
        # the sandbox has limits of its own, and may be busy
        super().__init__(**{"tools": [TOOLS[n] for n in names], "call_seconds": None, **kwargs})

    def options(self) -> dict[str, Any]:
        """Return what changes the tasks."""
        return {"level": self.level}

    def generate(self, rng: random.Random) -> rlenv.Task:
        """Make a problem of one of the level's kinds."""
        problem = rng.choice(LEVELS[self.level])(rng)
        return rlenv.Task(
            f"{problem.asks} Reply with the number alone.",
            answer=problem.answer,
            metadata={"works_out": problem.works_out, "level": self.level},
            identity=problem.same_as,
        )

    def score(self, task: rlenv.Task, reply: str) -> rlenv.Reward:
        """Give 1 for the right number."""
        said = parsing.after_thinking(reply)
        number = None if said is None else parsing.integer(said.text)
        if number is None:
            return self.rubric(
                {"correct": 0.0}, status="unparseable", detail="no single integer stated"
            )
        return self.rubric({"correct": float(number == task.answer)}, detail=f"read {number}")

    def demonstrate(self, task: rlenv.Task, messages: Sequence[Message]) -> str:
        """Have a tool work it out, then say what it says."""
        if messages[-1]["role"] == "tool":
            return str(messages[-1]["content"])
        work = task.metadata["works_out"]
        if "python" not in self.tools:
            return parsing.write_tool_call("calculator", {"expression": work})
        code = work if "print(" in work else f"print({work})"
        return parsing.write_tool_call("python", {"code": code})
