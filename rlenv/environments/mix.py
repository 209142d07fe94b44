"""A mixture of environments: each task comes from one of them, drawn by weight."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich.text import Text

import rlenv
from rlenv.core import protocols, registry
from rlenv.core.episode import StepResult
from rlenv.core.task import Message, TaskSet, check_split

_MEMBER = "mix_member"  # in a task's metadata: which environment it comes from


class MixedTasks(TaskSet):
    """Tasks of several sets of one split; which set is drawn first, by weight.

    Args:
        sets: task sets of the same split, by the name of their environment.
        weights: how often each is drawn, as shares of their sum.
        split: theirs.
    """

    def __init__(self, sets: Mapping[str, TaskSet], weights: Sequence[float], split: str) -> None:
        self.split = check_split(split)
        self._sets = dict(sets)
        self._weights = list(weights)
        parts = [(name, tasks.fingerprint) for name, tasks in self._sets.items()]
        content = rlenv.Task("mix", identity=[parts, self._weights, self.split])
        self.fingerprint = content.key[:16]

    def sample(self, rng: random.Random) -> rlenv.Task:
        """Draw a member, then one of its tasks."""
        (name,) = rng.choices(list(self._sets), self._weights)
        task = self._sets[name].sample(rng)
        # a member's task keeps its key, and with it the split it has outside the mixture
        identity = task.identity if task.identity is not None else [task.prompt, task.answer]
        metadata = {**task.metadata, _MEMBER: name}
        return rlenv.Task(task.prompt, task.answer, metadata, identity)

    def __getitem__(self, index: int) -> rlenv.Task:
        if index < 0:
            raise IndexError("a mixture has no end to count back from")
        return self.sample(random.Random(f"{self.fingerprint}/{index}"))


class Mix(rlenv.TextEnv):
    """Any environments in one, with weights. Members may have several turns.

    A task's metadata says under `mix_member` which environment it comes from, and the reward has
    that environment's components and one named after it, so that each member is logged.

    Args:
        members: environment id to weight; or a list of `{id, weight, options, name}`, where
            weight is 1, options are none and the name is the id unless given.

    Raises:
        rlenv.UserError: no members, a weight that is not above 0, or two members of one name.

    Example:
        >>> env = rlenv.make("rlenv/Mix-v0", members={"rlenv/Arithmetic-v0": 1.0})
    """

    step_timeout = None  # its members have theirs

    def __init__(
        self,
        *,
        members: Mapping[str, float] | Sequence[Mapping[str, Any]],
        split: str = "train",
        tasks: TaskSet | None = None,
        **kwargs: Any,
    ) -> None:
        if isinstance(members, Mapping):
            members = [{"id": id, "weight": weight} for id, weight in members.items()]
        if not members:
            raise rlenv.UserError(
                "a mixture needs members, as in members: {rlenv/Arithmetic-v0: 1}"
            )
        self.members: dict[str, rlenv.TextEnv] = {}
        self.weights: list[float] = []
        for member in members:
            self._add(dict(member), split)
        self._playing: rlenv.TextEnv | None = None
        self._told = 0  # messages of the episode so far
        super().__init__(split=split, tasks=tasks, **kwargs)
        self.reward_range = (  # type: ignore[misc]
            min(env.reward_range[0] for env in self.members.values()),
            max(env.reward_range[1] for env in self.members.values()),
        )

    def _add(self, member: dict[str, Any], split: str) -> None:
        unknown = set(member) - {"id", "weight", "options", "name"}
        if "id" not in member or unknown:
            raise rlenv.UserError(
                f"a member of a mixture has id, weight, options and name, not {sorted(member)}"
            )
        weight = member.get("weight", 1.0)
        if not isinstance(weight, (int, float)) or not 0 < weight < float("inf"):
            raise rlenv.UserError(f"the weight of {member['id']} must be above 0, not {weight!r}")
        name = str(member.get("name", member["id"]))
        if name in self.members:
            raise rlenv.UserError(f"two members are called {name}; give one another name")
        self.members[name] = registry.make(
            member["id"], split=split, **(member.get("options") or {})
        )
        self.weights.append(float(weight))

    def member(self, task: rlenv.Task) -> rlenv.TextEnv:
        """Return the environment that a task comes from."""
        return self.members[task.metadata[_MEMBER]]

    def make_tasks(self, split: str) -> TaskSet:
        """Mix the members' tasks."""
        sets = {name: env.tasks for name, env in self.members.items()}
        return MixedTasks(sets, self.weights, split)

    def options(self) -> dict[str, Any]:
        """Return what changes the tasks."""
        return {"members": sorted(self.members), "weights": self.weights}

    def opening(self, task: rlenv.Task) -> Sequence[Message]:
        """Return how the member opens the conversation."""
        return self.member(task).opening(task)

    def start(self, task: rlenv.Task) -> None:
        """Begin the member's episode, with this episode's randomness."""
        env = self._playing = self.member(task)
        _, info = env.reset(seed=self.random.getrandbits(31), options={"task": task})
        self._told = len(info["messages"])

    def announce(self, reply: str) -> None:
        """Pass on what the member's next step will bring."""
        if self._playing is not None:
            protocols.announce(self._playing, reply)

    def respond(self, task: rlenv.Task, reply: str) -> StepResult:
        """Play the member's turn; running out of its own turns ends the episode."""
        assert self._playing is not None
        text, _, terminated, truncated, info = self._playing.step(reply)
        self.timed_out = self._playing.timed_out
        told = info["messages"][self._told + 1 :]  # after the reply
        self._told = len(info["messages"])
        reward = info["reward"]
        if reward.judged:
            name = task.metadata[_MEMBER]
            reward = replace(reward, components={**reward.components, name: reward.value})
        over = terminated or truncated
        return rlenv.done(text, reward) if over else rlenv.turn(text, reward, messages=told)

    def demonstrate(self, task: rlenv.Task, messages: Sequence[Message]) -> str | None:
        """Return what the member's expert would reply."""
        return self.member(task).demonstrate(task, messages)

    def choices(self, task: rlenv.Task, messages: Sequence[Message]) -> Mapping[str, float] | None:
        """Return how likely each reply of the member's expert is."""
        return protocols.choices(self.member(task), task, messages)

    def answer_in(self, task: rlenv.Task, reply: str) -> str | None:
        """Return what the member reads in a reply."""
        return protocols.answer_in(self.member(task), task, reply)

    def text(self, task: rlenv.Task) -> str | None:
        """Return the member's solved task."""
        return protocols.text(self.member(task), task)

    def styled(self, message: Message) -> Text | None:
        """Return how the member shows a message."""
        return None if self._playing is None else protocols.styled(self._playing, message)
