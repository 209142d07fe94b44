"""The generators of an environment, seeded when they are first asked for."""

from __future__ import annotations

from random import Random

import numpy as np
from gymnasium.utils import seeding


class Generators:
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
