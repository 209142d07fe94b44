"""Countdown: reach a target from given numbers with + - * / and brackets."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import rlenv
from rlenv import parsing
from rlenv.core.rows import column
from rlenv.core.task import Message

_LARGE = (25, 50, 75, 100)
_SMALL = (*range(1, 11), *range(1, 11))


@dataclass(frozen=True)
class Level:
    """How hard a task is.

    Attributes:
        count: of the numbers.
        largest: number; of the classic game, where it is None, they are one to four of 25, 50, 75
            and 100, and the rest of two of each from 1 to 10.
        targets: the lowest and the highest.
    """

    count: int
    largest: int | None
    targets: tuple[int, int]

    def draw(self, rng: random.Random) -> list[int]:
        """Draw the numbers."""
        if self.largest is not None:
            return [rng.randint(1, self.largest) for _ in range(self.count)]
        large = rng.randint(1, len(_LARGE))
        return rng.sample(_LARGE, large) + rng.sample(_SMALL, self.count - large)


LEVELS = {
    1: Level(2, 50, (1, 100)),
    2: Level(3, 10, (1, 50)),
    3: Level(3, 25, (1, 100)),
    4: Level(4, 25, (1, 100)),
    5: Level(5, 50, (1, 500)),
    6: Level(6, None, (100, 999)),
}


class Countdown(rlenv.SingleTurnEnv):
    r"""Reach a target from given numbers, each used at most once.

    The answer is an arithmetic expression, read as arithmetic and never run: numbers, `+ - * /`
    and brackets, worked out in exact fractions. It stands in the reply's last `\boxed{}`, or
    without one on its last line, and may be followed by `= 24`, if that is its value. Every task
    has a solution with all of its numbers.

    Args:
        level: 1 (two numbers up to 50) to 6 (the classic six numbers, targets of three digits).
        use_all: every number must be used, not just any of them.
        instructions: the question says the rules and asks for a `\boxed{}`. Without, it is only
            `Make 24 from 3, 5, 8.`, for policies that learned the rules from demonstrations.
        rows, columns: tasks of a data set; the columns are `numbers`, `target` and, where there is
            one, `answer`, an expression to demonstrate.
    """

    rubric = rlenv.Rubric(correct=1.0, format=0.0)

    def __init__(
        self, *, level: int = 2, use_all: bool = False, instructions: bool = True, **kwargs: Any
    ) -> None:
        if level not in LEVELS:
            raise rlenv.UserError(f"level is {min(LEVELS)} to {max(LEVELS)}, not {level}")
        self.level, self.use_all, self.instructions = level, use_all, instructions
        super().__init__(**kwargs)

    def options(self) -> dict[str, Any]:
        """Return what changes the tasks."""
        return {"level": self.level, "use_all": self.use_all, "instructions": self.instructions}

    def generate(self, rng: random.Random) -> rlenv.Task:
        """Draw numbers, and as the target what a random expression of all of them comes to."""
        level = LEVELS[self.level]
        while True:
            numbers = level.draw(rng)
            made = _combine(numbers, rng)
            target = int(made.value)
            # a target that is one of the numbers needs no arithmetic
            if level.targets[0] <= target <= level.targets[1] and target not in numbers:
                return self._task(numbers, target, made.text)

    def from_row(self, row: Mapping[str, Any]) -> rlenv.Task:
        """Make a task of a row of data."""
        names = {"numbers": "numbers", "target": "target", **self.columns}
        numbers = [int(number) for number in column(row, names["numbers"])]
        return self._task(numbers, int(column(row, names["target"])), row.get(names["answer"]))

    def _task(self, numbers: Sequence[int], target: int, solution: str | None) -> rlenv.Task:
        given = ", ".join(map(str, numbers))
        question = f"Make {target} from {given}."
        if self.instructions:
            each = "exactly" if self.use_all else "at most"
            question += (
                f" Use each number {each} once, with + - * / and brackets, and give the expression "
                "in \\boxed{}."
            )
        return rlenv.Task(
            question,
            answer=solution,
            metadata={"numbers": list(numbers), "target": target, "level": self.level},
            identity=["countdown", sorted(numbers), target],
        )

    def score(self, task: rlenv.Task, reply: str) -> rlenv.Reward:
        """Give 1 for an expression that keeps to the rules and comes to the target."""
        text, equals, result = _stated(reply).partition("=")
        found = parsing.expression(text)
        claimed = parsing.expression(result) if equals else found
        if found.value is None or claimed.value is None:
            problem = found.problem or claimed.problem
            return self._reward(False, False, problem=problem)
        given = Counter(map(Fraction, task.metadata["numbers"]))
        used = Counter(found.numbers)
        keeps = used == given if self.use_all else used <= given
        right = keeps and found.value == claimed.value == task.metadata["target"]
        detail = f"{text.strip()} is {found.value}"
        return self._reward(right, keeps, detail if keeps else f"{detail}, of other numbers")

    def _reward(
        self, correct: bool, keeps: bool, detail: str = "", *, problem: str = ""
    ) -> rlenv.Reward:
        measured = {"correct": float(correct), "format": float(keeps)}
        return self.rubric(
            {name: measured[name] for name in self.rubric.weights},
            status="unparseable" if problem else "ok",
            detail=problem or detail,
        )

    def demonstrate(self, task: rlenv.Task, messages: Sequence[Message]) -> str | None:
        """Return the expression that the task was made from."""
        if task.answer is None:
            return None
        return f"\\boxed{{{task.answer}}}" if self.instructions else str(task.answer)


def _stated(reply: str) -> str:
    """Return what a reply gives as its answer: its last box, or its last line."""
    box = parsing.boxed(reply)
    text = reply.rstrip().rpartition("\n")[2] if box is None else box
    return text.strip().strip("$").rstrip(".")


@dataclass(frozen=True)
class _Term:
    """A part of an expression, with what it comes to and how tightly its last sign binds."""

    text: str
    value: int
    binds: int  # 1: a sum, 2: a product, 3: a number

    def inside(self, least: int) -> str:
        """The text as a part of something that binds so tightly."""
        return self.text if self.binds >= least else f"({self.text})"


def _combine(numbers: Sequence[int], rng: random.Random) -> _Term:
    """Make an expression of all the numbers, whole and above 0 at every step."""
    terms = [_Term(str(number), number, 3) for number in numbers]
    while len(terms) > 1:
        right = terms.pop(rng.randrange(len(terms)))
        left = terms.pop(rng.randrange(len(terms)))
        terms.append(rng.choice(_joined(left, right)))
    return terms[0]


def _joined(a: _Term, b: _Term) -> list[_Term]:
    """Return what two terms can be joined to, the larger one first."""
    if a.value < b.value:
        a, b = b, a
    ways = [
        _Term(f"{a.text}+{b.text}", a.value + b.value, 1),
        _Term(f"{a.inside(2)}*{b.inside(2)}", a.value * b.value, 2),
    ]
    if a.value > b.value:
        ways.append(_Term(f"{a.text}-{b.inside(2)}", a.value - b.value, 1))
    if a.value % b.value == 0:
        ways.append(_Term(f"{a.inside(2)}/{b.inside(3)}", a.value // b.value, 2))
    return ways
