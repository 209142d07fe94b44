"""Sums, differences and products, from two digits up to nested expressions."""

from __future__ import annotations

import operator
import random
from collections.abc import Sequence
from typing import Any

import rlenv
from rlenv import parsing
from rlenv.core.task import Message

# level: operators, operands, largest operand
LEVELS = {
    1: ("+", 2, 99),
    2: ("+-", 2, 99),
    3: ("+-*", 2, 99),
    4: ("+-", 3, 999),
    5: ("+-*", 3, 999),
    6: ("+-*", 4, 9999),
}


class Arithmetic(rlenv.SingleTurnEnv):
    """Work out `17 + 25 = ?`.

    Args:
        level: 1 (sums below 100 + 100) to 6 (four operands up to 9,999).
        largest: the largest operand, instead of the level's own.
        steps: demonstrations work out one operation a line, `17+25=42`, and the last line states
            the answer. What a reply has to be does not change.
    """

    def __init__(
        self, *, level: int = 1, largest: int | None = None, steps: bool = False, **kwargs: Any
    ) -> None:
        if level not in LEVELS:
            raise rlenv.UserError(f"level is {min(LEVELS)} to {max(LEVELS)}, not {level}")
        self.level = level
        self.operators, self.operands, default = LEVELS[level]
        self.largest = default if largest is None else largest
        self.steps = steps
        super().__init__(**kwargs)

    def options(self) -> dict[str, Any]:
        """Return what changes the tasks."""
        return {"level": self.level, "largest": self.largest}

    def generate(self, rng: random.Random) -> rlenv.Task:
        """Draw operands and operators; `*` binds tighter than `+` and `-`."""
        numbers = [rng.randint(0, self.largest) for _ in range(self.operands)]
        signs = [rng.choice(self.operators) for _ in numbers[1:]]
        terms = [str(numbers[0])]
        total, product = 0, numbers[0]
        for sign, number in zip(signs, numbers[1:], strict=True):
            terms += [sign, str(number)]
            if sign == "*":
                product *= number
            else:
                total, product = total + product, number if sign == "+" else -number
        expression = " ".join(terms)
        # a + b and b + a are one task: the mirror image of a held-out sum is held out too
        kind = {"+": "sum", "*": "product"}.get("".join(set(signs)))
        return rlenv.Task(
            f"{expression} = ?",
            answer=total + product,
            metadata={"level": self.level},
            identity=[kind, sorted(numbers)] if kind else ["expression", expression],
        )

    def score(self, task: rlenv.Task, reply: str) -> rlenv.Reward:
        """Give 1 for the right number, stated as the reply's one answer."""
        number = parsing.integer(reply)
        if number is None:
            return rlenv.Reward(0.0, {"correct": 0.0}, "unparseable", "no single integer stated")
        right = float(number == task.answer)
        return rlenv.Reward(right, {"correct": right}, detail=f"read {number}")

    def answer_in(self, task: rlenv.Task, reply: str) -> str | None:
        """Return the number that a reply states."""
        number = parsing.integer(reply)
        return None if number is None else str(number)

    def demonstrate(self, task: rlenv.Task, messages: Sequence[Message]) -> str | None:
        """Return the answer, or the steps to it."""
        return "\n".join(_steps(task.question)) if self.steps else str(task.answer)

    def text(self, task: rlenv.Task) -> str:
        """Return `17 + 25 = 42`."""
        return task.question.replace("?", str(task.answer))


_OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul}


def _steps(question: str) -> list[str]:
    """Work out `1 + 2 * 3 = ?` one operation at a time, products first."""
    terms = question.removesuffix(" = ?").split()
    lines = []
    while len(terms) > 1:
        at = terms.index("*") if "*" in terms else 1
        left, sign, right = terms[at - 1 : at + 2]
        value = _OPERATORS[sign](int(left), int(right))
        lines.append(f"{left}{sign}{right}={value}")
        terms[at - 1 : at + 2] = [str(value)]
    return lines
