"""The rollouts of a step: which tasks are played, where, and which of them teach something."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from rlenv.common.errors import RunFailed
from rlenv.core.task import Task, TaskSet
from rlenv.core.trajectory import Group
from rlenv.engines.base import Sampling, mix
from rlenv.rollouts.curriculum import Curriculum
from rlenv.rollouts.rollout import EnvPool, play
from rlenv.run.stage import Context
from rlenv.trainers.common.validation import figures
from rlenv.trainers.rl.policy import Policy
from rlenv.trainers.rl.settings import OnPolicySettings


@dataclass(frozen=True)
class Collected:
    """The groups of a step.

    Attributes:
        groups: all that were sampled.
        tokens: how many tokens the policy sampled in them.
        metrics: of sampling them.
    """

    groups: list[Group]
    tokens: int
    metrics: dict[str, float]


class Rollouts:
    """Samples tasks and plays them, by as many processes as there are.

    What is played and sampled follows from the seed, the step, the task and the number of the
    sample; every process gets all groups, the same ones that one process alone would have.

    Args:
        context: of the stage.
        settings: of the stage.
        policy: who plays.

    Attributes:
        sampled: tokens sampled since the stage began.
        curriculum: the level of the tasks, if it moves.
        memory: bytes of the weights of every model, by what it is.
    """

    def __init__(self, context: Context, settings: OnPolicySettings, policy: Policy) -> None:
        self.context, self.s, self.policy = context, settings, policy
        c = settings.curriculum
        self.curriculum = Curriculum(c) if c else None
        self.sampled = 0
        self._pools: dict[int | None, EnvPool] = {}  # by level; None without a curriculum
        self._held_out = self._pool("validation", c.evaluated if c else None)
        self.sampling = Sampling(temperature=settings.temperature, max_tokens=settings.max_tokens)
        self.eval_sampling = settings.eval_sampling.sampling(
            temperature=settings.temperature, max_tokens=settings.max_tokens
        )
        policy.chat.check_covers(self.training()[1][0].question)
        own = policy.memory()  # before an environment may add an adapter to the policy's trunk
        env = self.training()[0].take(1)[0]
        env.meet(policy.chat)
        self.memory = {**own, **env.memory()}

    def _pool(self, split: str, level: int | None) -> EnvPool:
        c = self.s.curriculum
        options = {} if c is None else {c.option: level}
        return EnvPool(lambda: self.context.make_env(split, **options))

    def training(self) -> tuple[EnvPool, TaskSet]:
        """Return the environments to train in now, and their tasks."""
        level = self.curriculum.level if self.curriculum else None
        if level not in self._pools:
            self._pools[level] = self._pool("train", level)
        pool = self._pools[level]
        return pool, pool.take(1)[0].tasks.for_training().part(*self.s.part)

    def collect(self, step: int, teaches: Callable[[list[Group]], Tensor]) -> Collected:
        """Play the groups of a step.

        Args:
            step: decides, with the seed, which tasks are played and what is sampled.
            teaches: says which groups hold a difference to learn from, (P,) of bool; new ones
                are sampled in place of the others, `max_refills` times at most.

        Raises:
            RunFailed: too many rollouts could not be judged.
        """
        rng = random.Random(f"rollouts/{self.context.seed}/{step}")
        pool, tasks = self.training()
        stepping = pool.stepping
        groups: list[Group] = []
        missing, refills = self.s.groups, 0
        while True:
            drawn = [tasks.sample(rng) for _ in range(missing)]
            seeds = (self.context.seed, step, refills) if refills else (self.context.seed, step)
            groups += self._play(pool, drawn, self.s.group_size, mix(*seeds), self.sampling)
            self._check_graders(groups)
            if refills == self.s.max_refills:
                break
            missing = self.s.groups - int(teaches(groups).sum())
            if missing == 0:
                break
            refills += 1
        tokens = sum(t.sampled_tokens for g in groups for t in g.trajectories)
        self.sampled += tokens
        metrics = {
            "num_tokens": float(self.sampled),
            "groups/refills": float(refills),
            "time/env": pool.stepping - stepping,
        }
        if self.curriculum:
            metrics["curriculum/level"] = float(self.curriculum.level)
            solved_at = pool.take(1)[0].solved_at
            judged = [t.reward for g in groups for t in g.trajectories if t.reward.judged]
            self.curriculum.record(reward.value >= solved_at for reward in judged)
        return Collected(groups, tokens, metrics)

    def held_out(self) -> dict[str, float]:
        """Play validation tasks, and return `rlenv.trainers.common.validation.figures`."""
        env = self._held_out.take(1)[0]
        groups = self._play(
            self._held_out,
            env.tasks.distinct(self.s.eval_tasks),
            self.s.eval_sampling.samples,
            self.context.seed,
            self.eval_sampling,
        )
        return figures(groups, env.solved_at)

    def _play(
        self,
        pool: EnvPool,
        tasks: Sequence[Task],
        samples: int,
        seed: int,
        sampling: Sampling,
    ) -> list[Group]:
        """Play one group a task; each process plays some of them, and all get all."""
        processes = self.context.processes
        # a task that was drawn twice stays with one process, which gives it samples of its own
        owners = {key: n for n, key in enumerate(dict.fromkeys(task.key for task in tasks))}
        mine = [n for n, t in enumerate(tasks) if owners[t.key] % processes.count == processes.rank]
        played = play(
            pool,
            self.policy.engine,
            self.policy.chat,
            [tasks[n] for n in mine],
            samples=samples,
            sampling=sampling,
            seed=seed,
            max_length=self.policy.max_length,
        )
        numbered = processes.gather(list(zip(mine, played, strict=True)))
        return [group for _, group in sorted(numbered, key=lambda pair: pair[0])]

    def _check_graders(self, groups: Sequence[Group]) -> None:
        rewards = [t.reward for g in groups for t in g.trajectories]
        failed = [reward.detail for reward in rewards if not reward.judged]
        if len(failed) > self.s.max_grader_errors * len(rewards):
            raise RunFailed(
                f"the grader failed on {len(failed) / len(rewards):.0%} of the rollouts, more than "
                f"max_grader_errors={self.s.max_grader_errors:g}: {failed[0]}"
            )

    def state_dict(self) -> dict[str, Any]:
        """Return the state, of plain values."""
        level = self.curriculum.state_dict() if self.curriculum else None
        return {"sampled": self.sampled, "curriculum": level}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.sampled = int(state["sampled"])
        if self.curriculum:
            self.curriculum.load_state_dict(state["curriculum"])
