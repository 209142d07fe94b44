"""One environment class for all families of reasoning-gym."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import rlenv
from rlenv.common.extras import require
from rlenv.core.task import Message
from rlenv.environments.reasoning_gym import judge
from rlenv.environments.reasoning_gym.families import no_level
from rlenv.environments.reasoning_gym.source import Source

_source = lru_cache(maxsize=256)(Source)  # instances of one family and level share it


class ReasoningGym(rlenv.SingleTurnEnv):
    r"""A family of procedural puzzles from reasoning-gym, strictly judged.

    The reward is 1 for a right answer and 0 for any other; the component `partial` logs what the
    family's own scorer gives an answer of the right form.

    Args:
        family: a key of `FAMILIES`; the id sets it.
        level: difficulty, from 0; None for the library's defaults. Families differ in how many
            levels they have; a level of a higher number also holds easier tasks.
        answer: where the reply states its final answer: `tags` (one `<answer>...</answer>`),
            `boxed` (the last `\boxed{}`), or `whole` (the reply is the answer).

    Raises:
        rlenv.UserError: reasoning-gym is not installed, or there is no such level or rule.

    Example:
        >>> env = rlenv.make("rlenv/reasoning_gym/chain_sum-v0", level=1)
    """

    def __init__(
        self, *, family: str, level: int | None = None, answer: str = "tags", **kwargs: Any
    ) -> None:
        if answer not in judge.EXTRACT:
            raise rlenv.UserError(f"answer is {', '.join(judge.EXTRACT)}, not {answer!r}")
        if problem := no_level(family, level):
            raise rlenv.UserError(problem)
        require("reasoning_gym", f"rlenv/reasoning_gym/{family}-v0")
        self.family, self.level, self.answer = family, level, answer
        super().__init__(**kwargs)

    def options(self) -> dict[str, Any]:
        """Return what changes the tasks."""
        return {"family": self.family, "level": self.level, "answer": self.answer}

    def generate(self, rng: random.Random) -> rlenv.Task:
        """Make an item; its question decides the split, so levels and rules share it."""
        question, gold, details = _source(self.family, self.level).make(rng)
        return rlenv.Task(
            question + judge.HOW_TO_ANSWER[self.answer],
            answer=gold,
            metadata={"family": self.family, "level": self.level, "details": details},
            identity=["reasoning_gym", self.family, question],
        )

    def score(self, task: rlenv.Task, reply: str) -> rlenv.Reward:
        """Give 1 for a right final answer."""
        found = judge.extract(reply, self.answer)
        if found is None:
            return rlenv.Reward(
                0.0, {"correct": 0.0, "partial": 0.0}, "unparseable", "no single final answer"
            )
        details = task.metadata["details"]
        scorer = _source(self.family, self.level).scorer(task.answer, details)
        right, mark, problem = judge.judge(self.family, found, task.answer, details, scorer)
        return rlenv.Reward(
            float(right),
            {"correct": float(right), "partial": mark},
            "ok" if problem is None else "unparseable",
            problem or f"read {found[:60]!r}",
        )

    def answer_in(self, task: rlenv.Task, reply: str) -> str | None:
        """Return the final answer of a reply."""
        return judge.extract(reply, self.answer)

    def demonstrate(self, task: rlenv.Task, messages: Sequence[Message]) -> str:
        """Return the item's answer, stated by the rule."""
        return judge.wrap(str(task.answer), self.answer)
