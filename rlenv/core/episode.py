"""What an episode is made of: the space of its texts, its random numbers, its steps' results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.error import CustomSpaceError
from gymnasium.utils import seeding
from gymnasium.vector.utils import create_shared_memory

from rlenv.core.reward import Reward
from rlenv.core.task import Message


@dataclass(frozen=True)
class StepResult:
    """What an environment answers to a reply; made by `turn` and `done`."""

    text: str
    reward: Reward | None
    final: bool
    messages: tuple[Message, ...] = ()

    @property
    def said(self) -> tuple[Message, ...]:
        """The chat messages that the answer adds to the conversation."""
        if self.messages or (self.final and not self.text):
            return self.messages
        return ({"role": "user", "content": self.text},)


def turn(
    text: str,
    reward: Reward | float | bool | None = None,
    *,
    messages: Sequence[Message] = (),
) -> StepResult:
    """Go on with the episode.

    Args:
        text: what the policy reads next, and the observation.
        reward: what this turn earned; None for nothing.
        messages: the same as chat messages, where it is not one message of the user, such as the
            results of tools.
    """
    earned = None if reward is None else Reward.of(reward)
    return StepResult(text, earned, final=False, messages=tuple(messages))


def done(text: str = "", reward: Reward | float | bool = 0.0) -> StepResult:
    """End the episode.

    Args:
        text: the last thing the policy is told.
        reward: what the last turn earned.
    """
    return StepResult(text, Reward.of(reward), final=True)


class UnicodeText(spaces.Text):
    """The space of every Unicode string, for observations and actions.

    Sampling draws short printable strings; membership admits any `str`.
    """

    def __init__(self, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(max_length=64, seed=seed)

    def contains(self, x: Any) -> bool:
        """Return whether x is a string."""
        return isinstance(x, str)

    def __repr__(self) -> str:
        return "UnicodeText()"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UnicodeText)


@create_shared_memory.register
def _no_shared_memory(space: UnicodeText, n: int = 1, ctx: Any = None) -> Any:
    # a fixed block of memory can't hold strings of any length
    raise CustomSpaceError(f"{space} needs AsyncVectorEnv(..., shared_memory=False)")


class EpisodeRNGs:
    """An environment's own NumPy generator, and one for each episode that is seeded from it.

    Seeding the two takes longer than the rest of a `reset`, and an episode whose task is handed
    in often draws from neither, so it waits until somebody asks. What is drawn is what would
    have been drawn without waiting.
    """

    def __init__(self) -> None:
        self._seed: int | None = None
        self._of_env: np.random.Generator | None = None
        self._of_episode: Random | None = None
        self._episode_seed = 0
        self._begun = 0  # episodes whose seed is still to be drawn

    def begin_episode(self, seed: int | None) -> None:
        """Give the coming episode a generator of its own.

        Args:
            seed: seeds the environment's generator; None goes on with it.

        Raises:
            gymnasium.error.Error: the seed is not a non-negative integer.
        """
        if seed is not None:
            if not isinstance(seed, int) or seed < 0:
                seeding.np_random(seed)  # says what is wrong with it
            self._of_env, self._seed, self._begun = None, seed, 0
        self._begun += 1
        self._of_episode = None
        if self._of_env is not None:  # somebody may hold it, and draw from it next
            self._settle()

    def _settle(self) -> None:
        """Draw what should have been drawn by now."""
        if not self._begun:
            return
        if self._of_env is None:
            self._of_env, self._seed = seeding.np_random(self._seed)
        if self._begun > 1:  # the seeds of episodes that did without
            self._of_env.integers(2**62, size=self._begun - 1)
        self._episode_seed = int(self._of_env.integers(2**62))
        self._begun = 0

    @property
    def seed(self) -> int | None:
        """What the environment's generator was seeded with; None before the first episode."""
        self._settle()  # which chooses one if none was given
        return self._seed

    @seed.setter
    def seed(self, seed: int | None) -> None:
        self._seed = seed

    @property
    def of_env(self) -> np.random.Generator | None:
        """The environment's generator; None before the first episode."""
        self._settle()
        return self._of_env

    @of_env.setter
    def of_env(self, generator: np.random.Generator | None) -> None:
        self._settle()
        self._of_env = generator

    @property
    def of_episode(self) -> Random:
        """The episode's generator."""
        if self._of_episode is None:
            self._settle()
            self._of_episode = Random(self._episode_seed)
        return self._of_episode
