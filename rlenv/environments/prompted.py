"""Environments of prompts whose replies no program can check: a model judges them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import rlenv
from rlenv.core import protocols, registry
from rlenv.core.rows import column
from rlenv.core.task import Message, RowTasks, TaskSet
from rlenv.data.preferences import Unusable, pairs_of

_REPLIES = "replies"  # in a task's metadata: all that its row holds


class Prompted(rlenv.SingleTurnEnv):
    """Prompts from rows or from another environment, judged by what a subclass has.

    Rows hold preferences in any form that `rlenv.data.preferences` reads, or bare prompts. The
    split of a prompt is the one its pairs have in a reward stage, so what a reward model was
    trained on
    is `train` here too.

    A subclass writes `judged`. What judges promises nothing of worthless replies: `floor` says so
    to `rlenv check`.

    Args:
        rows: prompts or preferences.
        base: id of an environment of one turn that the tasks come from in place of rows, or a
            mapping with `id` and its options. Its own reward is the component `rule`.
        rule: weight of that component; 0 measures it without rewarding it, None leaves it out.
        **kwargs: see `TextEnv`.

    Raises:
        rlenv.UserError: neither or both of rows and base, or a base of several turns.
    """

    step_timeout = None  # models that judge many replies at once take as long as they need

    floor = float("inf")

    def __init__(
        self,
        *,
        rows: Any = None,
        base: str | Mapping[str, Any] | None = None,
        rule: float | None = None,
        split: str = "train",
        **kwargs: Any,
    ) -> None:
        if (rows is None) == (base is None) and kwargs.get("tasks") is None:
            name = type(self).__name__
            raise rlenv.UserError(f"{name} takes its prompts from one of the options rows and base")
        self.rule = rule
        self.base = None if base is None else _made(base, split)
        super().__init__(split=split, rows=rows, **kwargs)

    @property
    def bonus(self) -> float:
        """What solving the base environment's task adds to the reward."""
        return 0.0 if self.base is None else (self.rule or 0.0) * self.base.solved_at

    def judged(self, task: rlenv.Task, reply: str) -> rlenv.Reward:
        """Judge a reply, the rule aside."""
        raise NotImplementedError

    def make_tasks(self, split: str) -> TaskSet:
        """Return the prompts of the rows, or the base environment's tasks."""
        if self.base is not None:
            return self.base.tasks
        assert self.rows is not None
        known: dict[str, rlenv.Task] = {}  # a prompt with several pairs is one task
        for row in self.rows:
            try:
                task = self.from_row(row)
            except Unusable:
                continue  # a reward stage counts and names them
            known.setdefault(task.key, task)
        return RowTasks([{"task": task} for task in known.values()], _task, split=split)

    def from_row(self, row: Mapping[str, Any]) -> rlenv.Task:
        """Make a task of a preference, whose chosen reply is the reference, or of a prompt."""
        if "chosen" in row or "replies" in row:
            pairs = pairs_of(row)
            # of a ranking, the reply that is chosen most often is the best
            best = Counter(pair.chosen for pair in pairs).most_common(1)[0][0]
            prompt = pairs[0].prompt
            said = dict.fromkeys(reply for pair in pairs for reply in (pair.chosen, pair.rejected))
            return rlenv.Task(prompt, best, {_REPLIES: list(said)}, identity=[prompt, None])
        prompt = rlenv.Task(column(row, self.columns["prompt"])).prompt
        return rlenv.Task(prompt, answer=row.get(self.columns["answer"]), identity=[prompt, None])

    def demonstrate(self, task: rlenv.Task, messages: Sequence[Message]) -> str | None:
        """Return the reply that people chose, or what the base environment's expert says."""
        if self.base is not None:
            return self.base.demonstrate(task, messages)
        return super().demonstrate(task, messages)

    def choices(self, task: rlenv.Task, messages: Sequence[Message]) -> Mapping[str, float] | None:
        """Return how likely each reply of the base environment's expert is."""
        return None if self.base is None else protocols.choices(self.base, task, messages)

    def text(self, task: rlenv.Task) -> str | None:
        """Return the prompt with each of its replies: a reward model must know the bad ones too."""
        if self.base is not None:
            return protocols.text(self.base, task)
        replies = task.metadata.get(_REPLIES)
        if not replies:
            return protocols.solved(self, task)
        return "\n".join(f"{task.question} {reply}" for reply in replies)

    def opening(self, task: rlenv.Task) -> Sequence[Message]:
        """Return the prompt."""
        return task.prompt if self.base is None else self.base.opening(task)

    def start(self, task: rlenv.Task) -> None:
        """Begin the base environment's episode."""
        if self.base is not None:
            self.base.reset(seed=self.random.getrandbits(31), options={"task": task})

    def announce(self, reply: str) -> None:
        """Let the base environment begin to judge."""
        if self.base is not None and self.rule is not None:
            protocols.announce(self.base, reply)

    def score(self, task: rlenv.Task, reply: str) -> rlenv.Reward:
        """Judge a reply, and add the base environment's verdict as the component `rule`."""
        reward = self.judged(task, reply)
        if self.base is None or self.rule is None or not reward.judged:
            return reward
        _, _, _, _, info = self.base.step(reply)
        verdict: rlenv.Reward = info["reward"]
        self.timed_out = self.base.timed_out
        if not verdict.judged:
            return verdict
        components = {**reward.components, "rule": verdict.value}
        return rlenv.Reward(reward.value + self.rule * verdict.value, components, reward.status)


def _task(row: Mapping[str, Any]) -> rlenv.Task:
    task: rlenv.Task = row["task"]
    return task


def _made(base: str | Mapping[str, Any], split: str) -> rlenv.TextEnv:
    options = {"id": base} if isinstance(base, str) else dict(base)
    if "id" not in options:
        raise rlenv.UserError("base is an environment's id, or a mapping with id and its options")
    made = registry.make(options.pop("id"), split=split, **options)
    if not isinstance(made, rlenv.SingleTurnEnv):
        raise rlenv.UserError(
            f"{type(made).__name__} has several turns; what judges one reply can't judge it"
        )
    return made
