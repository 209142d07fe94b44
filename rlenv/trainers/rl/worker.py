"""The rollouts of a step: which tasks are played, where, and what is measured of them.

Metrics have TRL's names where it has one.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from torch import Tensor

from rlenv.common.errors import RunFailed
from rlenv.core.protocols import meet, memory
from rlenv.core.task import Task, TaskSet
from rlenv.core.trajectory import Group, Trajectory
from rlenv.engines.base import Sampling, mix
from rlenv.rollouts.curriculum import Curriculum
from rlenv.rollouts.rollout import EnvPool, play
from rlenv.run.stage import Context
from rlenv.trainers.common.validation import figures
from rlenv.trainers.rl.policy import Policy
from rlenv.trainers.rl.settings import OnPolicySettings


@dataclass(frozen=True)
class RolloutBatch:
    """The groups of a step.

    Attributes:
        groups: all that were sampled.
        tokens: how many tokens the policy sampled in them.
        metrics: of sampling them.
    """

    groups: list[Group]
    tokens: int
    metrics: dict[str, float]

    def describe(self, has_signal: Tensor) -> dict[str, float]:
        """Return what is measured of the rollouts themselves.

        Args:
            has_signal: (P,) of bool, False where all rewards of a group are equal.
        """
        played = [t for g in self.groups for t in g.trajectories]
        judged = [t for t in played if t.reward.judged]
        lengths = [float(t.sampled_tokens) for t in played]
        ended = [float(t.sampled_tokens) for t in played if not t.truncated]
        values = [t.reward.value for t in judged]
        metrics = {
            "reward": mean(values),
            "reward_std": statistics.stdev(values) if len(values) > 1 else 0.0,
            **component_metrics(judged),
            "frac_reward_zero_std": 1 - float(has_signal.float().mean()),
            **_spread("completions", lengths, "length"),
            **(_spread("completions", ended, "terminated_length") if ended else {}),
            "completions/clipped_ratio": 1 - len(ended) / len(played),
            "completions/repetition": mean([repetition(g.trajectories[0]) for g in self.groups]),
            "unparseable": sum(t.reward.status == "unparseable" for t in played) / len(played),
            "grader_errors": 1 - len(judged) / len(played),
        }
        turns = [float(len(t.turn_ends)) for t in played]
        if max(turns) > 1:
            metrics["turns"] = mean(turns)
        return metrics


class RolloutWorker:
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
        own = policy.memory()  # before an environment may add an adapter to the policy's backbone
        env = self.training()[0].take(1)[0]
        meet(env, policy)
        self.memory = {**own, **memory(env)}

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
        return pool, pool.take(1)[0].tasks.for_training().part(*self.s.task_range)

    def collect(self, step: int, has_signal: Callable[[list[Group]], Tensor]) -> RolloutBatch:
        """Play the groups of a step.

        Args:
            step: decides, with the seed, which tasks are played and what is sampled.
            has_signal: says which groups hold a difference to learn from, (P,) of bool; new ones
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
            missing = self.s.groups - int(has_signal(groups).sum())
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
        return RolloutBatch(groups, tokens, metrics)

    def evaluate(self) -> dict[str, float]:
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


def _spread(prefix: str, values: Sequence[float], name: str) -> dict[str, float]:
    return {
        f"{prefix}/mean_{name}": mean(values),
        f"{prefix}/min_{name}": min(values),
        f"{prefix}/max_{name}": max(values),
    }


def repetition(trajectory: Trajectory, run: int = 4) -> float:
    """Return the share of a trajectory's runs of tokens that stood in the same turn before.

    With runs of four tokens this is seq-rep-4 (Welleck et al. 2019), of each turn.
    """
    runs = distinct = 0
    mask = trajectory.loss_mask
    turns = (
        [token for _, token in part]
        for sampled, part in groupby(zip(mask, trajectory.token_ids, strict=True), lambda p: p[0])
        if sampled
    )
    for ids in turns:
        found = list(zip(*(ids[n:] for n in range(run)), strict=False))
        runs += len(found)
        distinct += len(set(found))
    return 1 - distinct / runs if runs else 0.0


def mean(values: Sequence[float]) -> float:
    """Return the mean; 0 of nothing."""
    return sum(values) / len(values) if values else 0.0


def component_metrics(judged: Sequence[Trajectory]) -> dict[str, float]:
    """Return mean and standard deviation of each reward component, over those that have it."""
    found: dict[str, list[float]] = {}
    for trajectory in judged:
        for name, value in trajectory.reward.components.items():
            found.setdefault(name, []).append(value)
    metrics = {}
    for name, values in found.items():
        metrics[f"rewards/{name}/mean"] = mean(values)
        metrics[f"rewards/{name}/std"] = statistics.stdev(values) if len(values) > 1 else 0.0
    return metrics
