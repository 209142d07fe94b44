"""The environment under test, and how the checks play it."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rlenv.common.time_limit import TimedOut, call_within
from rlenv.conformance.suite import CheckSettings, Hanging
from rlenv.core import registry
from rlenv.core.env import SingleTurnEnv, TextEnv
from rlenv.core.reward import Reward
from rlenv.core.task import Message, Task

MOST_TURNS = 100  # of an episode that its environment does not end
HANG = 60.0  # seconds; a step that takes longer is taken to hang

Policy = Callable[[TextEnv, list[Message], int], str]


@dataclass
class Episode:
    """An episode that was played.

    Attributes:
        opening: the first observation.
        replies: what the policy replied, in order.
        steps: for each turn what can be seen of it: observation, reward, ends, status, messages.
        reward: the sum over the turns.
        over: whether the environment ended it, or cut it short.
        task: the task that was played.
    """

    opening: str
    task: Task
    replies: list[str] = field(default_factory=list)
    steps: list[tuple[Any, ...]] = field(default_factory=list)
    reward: Reward = field(default_factory=lambda: Reward(0.0))
    over: bool = False

    @property
    def value(self) -> float:
        """The total reward; NaN where a grader failed."""
        return self.reward.value

    @property
    def record(self) -> tuple[Any, ...]:
        """All that can be seen of the episode; equal where two episodes went alike."""
        return (self.opening, self.task.key, self.over, *self.steps)


@dataclass
class EnvUnderTest:
    """The environment under test.

    Attributes:
        ref: how the registry finds it.
        options: it is made with.
        settings: how thorough the checks are.
    """

    ref: str
    options: dict[str, Any]
    settings: CheckSettings

    def make(self, split: str = "train", **options: Any) -> TextEnv:
        """Make a fresh instance."""
        made = registry.make(self.ref, split=split, **{**self.options, **options})
        made.enforces_range = False  # a check of its own tells of rewards outside
        return made

    @property
    def floor(self) -> float:
        """The most that a worthless reply may earn in an episode.

        The lowest reward, but nothing below 0 where something above 0 can be won: penalties are
        no duty. An environment whose worthless replies earn more declares `floor`.
        """
        env = self.make()
        low, high = env.reward_range
        return float(getattr(env, "floor", low if high <= 0 else max(low, 0.0)))

    def seeds(self, count: int) -> range:
        """Return that many environment seeds."""
        return range(self.settings.seed, self.settings.seed + count)


def play(
    env: TextEnv, policy: Policy, *, seed: int, options: Mapping[str, Any] | None = None
) -> Episode:
    """Play an episode to its end, or to its hundredth turn."""
    opening, info = env.reset(seed=seed, options=dict(options) if options else None)
    return go_on(env, policy, opening, info)


def go_on(env: TextEnv, policy: Policy, opening: str, info: Mapping[str, Any]) -> Episode:
    """Play the rest of an episode that was just reset."""
    assert env.task is not None
    episode = Episode(opening, env.task)
    messages = info["messages"]
    for turn in range(MOST_TURNS):
        reply = policy(env, messages, turn)
        observation, value, terminated, truncated, info = _step(env, reply)
        messages = info["messages"]
        earned = info["reward"]
        episode.replies.append(reply)
        ends = (bool(terminated), bool(truncated))
        episode.steps.append((observation, repr(value), *ends, earned.status, repr(messages)))
        episode.reward = earned if turn == 0 else episode.reward + earned
        episode.over = terminated or truncated
        if episode.over:
            break
    return episode


def _step(env: TextEnv, reply: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
    """Play one reply; a step that hangs is ended, whatever limit of its own it has."""
    if env.step_timeout is not None:
        env.step_timeout = min(env.step_timeout, HANG)
    try:
        result = call_within(HANG, env.step, reply)
    except TimedOut:
        raise Hanging(_hangs(reply)) from None
    if env.timed_out:
        raise Hanging(_hangs(reply))
    return result


def _hangs(reply: str) -> str:
    return f"step took more than {HANG:g} s on the reply {shown(reply, 30)}"


def gold(env: TextEnv, messages: list[Message], turn: int) -> str:
    """Reply as the environment's own expert, or nonsense where it has none."""
    assert env.task is not None
    reply = env.demonstrate(env.task, messages)
    return f"nonsense {turn}" if reply is None else reply


def has_gold(env: TextEnv, seed: int) -> bool:
    """Return whether the environment's expert knows how to open this task."""
    _, info = env.reset(seed=seed)
    assert env.task is not None
    return env.demonstrate(env.task, info["messages"]) is not None


def always(reply: str) -> Policy:
    """Give the same reply at every turn."""
    return lambda env, messages, turn: reply


def scripted(replies: list[str], then: str) -> Policy:
    """Give these replies in order, and after that one and the same."""
    return lambda env, messages, turn: replies[turn] if turn < len(replies) else then


def mixed(seed: int) -> Policy:
    """Reply as the expert at times, with gibberish at others, in an order that seed governs."""

    def reply(env: TextEnv, messages: list[Message], turn: int) -> str:
        rng = random.Random(f"{seed}/{turn}")
        return gold(env, messages, turn) if rng.random() < 0.5 else gibberish(rng)

    return reply


def gibberish(rng: random.Random, length: int = 40) -> str:
    """Make printable characters without sense."""
    return "".join(chr(rng.randint(33, 126)) for _ in range(length))


def is_single_turn(env: TextEnv) -> bool:
    """Return whether episodes have one reply."""
    return isinstance(env, SingleTurnEnv)


def seed_globals(seed: int) -> None:
    """Seed the generators that an environment should not use."""
    random.seed(seed)
    np.random.seed(seed)


def digest(content: Any) -> str:
    """Return a short hash of what an episode looked like."""
    return hashlib.sha256(repr(content).encode("utf-8", "backslashreplace")).hexdigest()[:16]


def shown(text: str, most: int = 60) -> str:
    """Return a text fit for one line of a table."""
    short = text if len(text) <= most else text[: most - 1] + "…"
    return ascii(short) if not short.isprintable() else repr(short)
