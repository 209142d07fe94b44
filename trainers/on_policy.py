"""The on-policy loop: sample tasks, roll out groups, make advantages, step.

The algorithm is named by the settings and lives in `trainers.algorithms`; the loop only knows
that there are advantages and a loss of each token.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from rlenv import registry
from rlenv.chat import ChatFormat
from rlenv.config import EnvSettings, Settings
from rlenv.curriculum import Curriculum, CurriculumSettings
from rlenv.engines.base import Sampling, mix
from rlenv.errors import RunFailed
from rlenv.evaluation import mean_reward
from rlenv.models import checkpoint
from rlenv.rollout import EnvPool, play
from rlenv.stage import Artifact, Context, Stage
from rlenv.task import TaskSet
from rlenv.trajectory import Group, Trajectory
from trainers import algorithms
from trainers.batch import Batch
from trainers.loop import Stateful, resumable_steps
from trainers.pretrain import adamw
from trainers.shared_prompt import group_logprobs


class OnPolicySettings(Settings):
    """Settings of an on-policy stage.

    Attributes:
        algorithm: a name in `trainers.algorithms`.
        steps: rollout batches.
        groups: tasks a step.
        group_size: rollouts a task.
        learning_rate: the highest.
        schedule: after the warmup the learning rate stays `constant`, or falls to zero in a
            `linear` way.
        warmup_steps: in which the learning rate rises.
        temperature: to sample with.
        max_tokens: of a reply.
        updates: optimizer steps on each rollout batch, on different parts of it.
        micro_batch: rows in a forward pass; the result does not depend on it.
        clip_low, clip_high: the ratio is clipped to [1 - clip_low, 1 + clip_high].
        aggregate: how token losses add up, see `algorithms.token_weights`.
        weight_decay: of AdamW.
        max_grad_norm: gradients are scaled down to this norm.
        eval_every: steps between held-out evaluations, on the validation split.
        eval_tasks: how many tasks they play, once each at `temperature`.
        save_every: steps between saves of the state.
        max_grader_errors: a run stops when a larger share of a step's rollouts can't be judged.
        curriculum: an option of the environment that follows the success rate; see
            `rlenv.curriculum`.
    """

    algorithm: str = "grpo"
    steps: int = Field(ge=1)
    groups: int = Field(64, ge=1)
    group_size: int = Field(16, ge=2)
    learning_rate: float = Field(1e-3, gt=0)
    schedule: Literal["constant", "linear"] = "constant"
    warmup_steps: int = Field(5, ge=0)
    temperature: float = Field(1.0, gt=0)
    max_tokens: int = Field(256, ge=1)
    updates: int = Field(1, ge=1)
    micro_batch: int = Field(512, ge=1)
    clip_low: float = Field(0.2, gt=0, lt=1)
    clip_high: float = Field(0.2, gt=0)
    aggregate: Literal["sequence", "token"] = "token"
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    eval_every: int = Field(25, ge=1)
    eval_tasks: int = Field(200, ge=1)
    save_every: int = Field(25, ge=1)
    max_grader_errors: float = Field(0.2, ge=0, le=1)
    curriculum: CurriculumSettings | None = None

    @model_validator(mode="after")
    def _updates_fit(self) -> OnPolicySettings:
        if self.updates > self.groups:
            raise ValueError("updates can't be more than groups")
        return self


class OnPolicyStage(Stage[OnPolicySettings]):
    """Train a policy on its own rollouts."""

    needs: ClassVar[Artifact] = "chat model"
    gives: ClassVar[Artifact] = "chat model"
    Settings = OnPolicySettings

    def check(self, env: EnvSettings, source: str | None) -> None:
        """See `Stage.check`."""
        algorithms.find(self.settings.algorithm)
        c = self.settings.curriculum
        # the ends of a curriculum must exist before anything starts
        for level in [None] if c is None else [c.floor, c.highest, c.evaluated]:
            options = env.options if c is None else {**env.options, c.option: level}
            registry.make(env.id, split="train", **options).tasks.for_training()

    def plan(self) -> tuple[str, str]:
        """See `Stage.plan`."""
        s = self.settings
        return f"{s.steps} steps of {s.groups} groups x {s.group_size} rollouts", (
            f"{s.steps * s.groups * s.group_size:,} rollouts"
        )

    def steps(self) -> int:
        """See `Stage.steps`."""
        return self.settings.steps

    def run(self, context: Context) -> None:
        """See `Stage.run`."""
        Loop(self.settings, context).run()


class GRPOStage(OnPolicyStage):
    """GRPO (Shao et al. 2024)."""


class Loop:
    """One stage's models, environments and optimizer, and the steps they take together.

    Args:
        settings: of the stage.
        context: of the stage.
    """

    def __init__(self, settings: OnPolicySettings, context: Context) -> None:
        assert context.source is not None
        self.s = settings
        self.context = context
        self.model, self.tokenizer = checkpoint.load(context.source, device=context.device)
        self.reference, _ = checkpoint.load(context.source, device=context.device)
        self.reference.requires_grad_(requires_grad=False).eval()
        self.chat = ChatFormat(self.tokenizer, context.source)
        self.engine = checkpoint.engine_for(self.model, self.chat)
        self.optimizer = adamw(self.model, settings.learning_rate, settings.weight_decay)
        self.advantages, self.loss = algorithms.find(settings.algorithm)
        self.curriculum = Curriculum(settings.curriculum) if settings.curriculum else None
        self.train_pools: dict[int | None, EnvPool] = {}  # by level; None without a curriculum
        c = settings.curriculum
        self.held_out_pool = self.pool("validation", c.evaluated if c else None)
        self.train_pool, self.tasks = self.training()
        self.chat.check_covers(self.tasks[0].question)
        self.max_length = checkpoint.context_length(self.model, self.tokenizer)

    def pool(self, split: str, level: int | None) -> EnvPool:
        """Return environments of a split, at a level of the curriculum if there is one."""
        c = self.s.curriculum
        options = {} if c is None else {c.option: level}
        return EnvPool(lambda: self.context.make_env(split, **options))

    def training(self) -> tuple[EnvPool, TaskSet]:
        """Return the environments to train in now, and their tasks."""
        level = self.curriculum.level if self.curriculum else None
        if level not in self.train_pools:
            self.train_pools[level] = self.pool("train", level)
        pool = self.train_pools[level]
        return pool, pool.take(1)[0].tasks.for_training()

    def run(self) -> None:
        """Take all steps and leave the checkpoint."""
        s, context = self.s, self.context
        parts: dict[str, Stateful] = {"model": self.model, "optimizer": self.optimizer}
        if self.curriculum:
            parts["curriculum"] = self.curriculum
        for step in resumable_steps(context, s.steps, parts, save_every=s.save_every):
            looking = (step + 1) % s.eval_every == 0 or step in (0, s.steps - 1)
            metrics, groups = self.step(step, with_kl=looking)
            if looking:
                metrics["held_out/reward"] = self.held_out()
                picked = [group.trajectories[0] for group in groups[:2]]
                context.keep_episodes(step + 1, [describe(t) for t in picked])
            context.log(step + 1, metrics)
        checkpoint.save(self.model, self.tokenizer, context.out)

    def step(self, step: int, *, with_kl: bool) -> tuple[dict[str, float], list[Group]]:
        """Roll out, and train on what came of it.

        Args:
            step: decides, with the seed, which tasks are played and what is sampled.
            with_kl: measure the KL to the policy that the stage began with, which costs another
                forward pass.

        Returns:
            The step's metrics, and its groups.

        Raises:
            RunFailed: too many rollouts could not be judged.
        """
        s = self.s
        began = time.monotonic()
        rng = random.Random(f"rollouts/{self.context.seed}/{step}")
        self.train_pool, self.tasks = self.training()
        groups = self.play([self.tasks.sample(rng) for _ in range(s.groups)], step)
        rolled_out = time.monotonic()
        rewards, judged = reward_matrix(groups)
        self.check_graders(groups, judged)
        trained, batch_metrics = self.update(groups, rewards, judged, step, with_kl=with_kl)
        ended = time.monotonic()
        trajectories = [t for group in groups for t in group.trajectories]
        if self.curriculum:
            batch_metrics["curriculum/level"] = float(self.curriculum.level)
            solved_at = self.train_pool.take(1)[0].solved_at
            judged_ones = [t.reward for t in trajectories if t.reward.judged]
            self.curriculum.record(reward.value >= solved_at for reward in judged_ones)
        lengths = torch.tensor([float(t.sampled_tokens) for t in trajectories])
        return {
            "reward": float(rewards.sum() / judged.sum().clamp(min=1)),
            "reward_std": float(rewards[judged.bool()].std()),
            **component_means(trajectories),
            "frac_reward_zero_std": 1 - trained / len(groups),
            "completions/mean_length": float(lengths.mean()),
            "completions/clipped_ratio": sum(t.truncated for t in trajectories) / len(trajectories),
            "unparseable": sum(t.reward.status == "unparseable" for t in trajectories)
            / len(trajectories),
            "grader_errors": 1 - float(judged.mean()),
            **batch_metrics,
            "learning_rate": self.rate(step),
            "tokens_per_second": float(lengths.sum()) / (rolled_out - began),
            "time/rollout": rolled_out - began,
            "time/train": ended - rolled_out,
        }, groups

    def play(self, tasks: Sequence[Any], step: int) -> list[Group]:
        """Roll out one group a task with the policy as it is."""
        s = self.s
        return play(
            self.train_pool,
            self.engine,
            self.chat,
            tasks,
            samples=s.group_size,
            sampling=Sampling(temperature=s.temperature, max_tokens=s.max_tokens),
            seed=mix(self.context.seed, step),
            max_length=self.max_length,
        )

    def update(
        self, groups: list[Group], rewards: Tensor, judged: Tensor, step: int, *, with_kl: bool
    ) -> tuple[int, dict[str, float]]:
        """Take the optimizer steps of one rollout batch.

        Returns:
            How many groups had something to teach, and the metrics of the optimizer steps.
        """
        s = self.s
        advantages = self.advantages(rewards, judged)  # (P, G)
        useful = (advantages.abs().sum(1) > 0).nonzero()[:, 0]
        if len(useful) == 0:
            return 0, {}
        sums = dict.fromkeys(["loss", "grad_norm", "clip_ratio", "entropy"], 0.0)
        if with_kl:
            sums["kl"] = 0.0
        drift = 0.0
        parts = useful.chunk(min(s.updates, len(useful)))
        for part in parts:
            rows = [(g, i) for g in part.tolist() for i in range(s.group_size) if judged[g, i]]
            batch = Batch.of(
                [groups[g].trajectories[i] for g, i in rows],
                torch.stack([advantages[g, i] for g, i in rows]),
                pad=self.tokenizer.pad_token_id or 0,
                device=self.model.device,
            )
            drift = max(drift, self.optimizer_step(batch, step, sums))
        metrics = {name: value / len(parts) for name, value in sums.items()}
        return len(useful), {**metrics, "logprob_drift": drift}

    def optimizer_step(self, batch: Batch, step: int, sums: dict[str, float]) -> float:
        """Take one step on a batch, in micro-batches; return the logprobs' largest drift.

        The drift is the largest difference between the logprobs that the engine sampled with and
        those of the model being trained; before the first update of a batch it is numerical error.
        """
        s = self.s
        weights = algorithms.token_weights(batch.mask, s.aggregate)
        per_token = batch.mask / batch.mask.sum()
        drift = 0.0
        self.model.train()
        for index in torch.arange(len(batch), device=batch.mask.device).split(s.micro_batch):
            micro = batch.rows(index)
            logprobs, entropy = group_logprobs(self.model, micro, s.temperature)
            inputs = algorithms.LossInputs(
                logprobs,
                micro.old_logprobs,
                micro.advantages,
                micro.mask,
                s.clip_low,
                s.clip_high,
            )
            loss = (self.loss(inputs) * weights[index]).sum()
            loss.backward()
            with torch.no_grad():
                gap = (logprobs - micro.old_logprobs) * micro.mask
                outside = (gap.exp() < 1 - s.clip_low) | (gap.exp() > 1 + s.clip_high)
                if "kl" in sums:
                    reference, _ = group_logprobs(self.reference, micro, s.temperature)
                    gain = reference - logprobs
                    k3 = gain.exp() - 1 - gain  # estimates KL(policy, reference); Schulman 2020
                    sums["kl"] += float((k3 * per_token[index]).sum())
                sums["loss"] += float(loss.detach())
                sums["clip_ratio"] += float((outside * per_token[index]).sum())
                sums["entropy"] += float((entropy * per_token[index]).sum())
                drift = max(drift, float(gap.abs().max()))
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), s.max_grad_norm)
        sums["grad_norm"] += float(norm)
        if not torch.isfinite(norm):
            raise RunFailed(
                f"the gradient is not finite at step {step + 1}; the state before is kept. "
                "A lower learning_rate usually helps"
            )
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(step)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return drift

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        s = self.s
        falling = (s.steps - step) / s.steps if s.schedule == "linear" else 1.0
        return s.learning_rate * min(falling, (step + 1) / (s.warmup_steps + 1))

    def held_out(self) -> float:
        """Return the mean reward on validation tasks, one sample each."""
        s = self.s
        groups = play(
            self.held_out_pool,
            self.engine,
            self.chat,
            self.held_out_pool.take(1)[0].tasks.distinct(s.eval_tasks),
            samples=1,
            sampling=Sampling(temperature=s.temperature, max_tokens=s.max_tokens),
            seed=self.context.seed,
            max_length=self.max_length,
        )
        return mean_reward(groups)

    def check_graders(self, groups: list[Group], judged: Tensor) -> None:
        """Raise `RunFailed` when too many rollouts could not be judged."""
        failed = 1 - float(judged.mean())
        if failed > self.s.max_grader_errors:
            details = [t.reward.detail for g in groups for t in g.trajectories]
            reason = next(
                d for g, d in zip(judged.flatten().tolist(), details, strict=True) if not g
            )
            raise RunFailed(
                f"the grader failed on {failed:.0%} of the rollouts, more than max_grader_errors="
                f"{self.s.max_grader_errors:g}: {reason}"
            )


def reward_matrix(groups: Sequence[Group]) -> tuple[Tensor, Tensor]:
    """Return rewards (P, G), 0 where unjudged, and a mask (P, G) that is 0 there."""
    values = torch.tensor([[t.reward.value for t in g.trajectories] for g in groups])
    judged = torch.tensor([[float(t.reward.judged) for t in g.trajectories] for g in groups])
    return values.nan_to_num(0.0), judged


def component_means(trajectories: Sequence[Trajectory]) -> dict[str, float]:
    """Return the mean of each reward component, over the judged trajectories that have it."""
    found: dict[str, list[float]] = {}
    for trajectory in trajectories:
        if trajectory.reward.judged:
            for name, value in trajectory.reward.components.items():
                found.setdefault(name, []).append(value)
    return {f"rewards/{name}": sum(values) / len(values) for name, values in found.items()}


def describe(trajectory: Trajectory) -> dict[str, Any]:
    """Return an episode as plain values for `episodes.jsonl`."""
    reward = trajectory.reward
    return {
        "task_key": trajectory.task.key,
        "prompt": trajectory.task.question,
        "reply": trajectory.reply,
        "reward": reward.value if reward.judged else None,
        "components": dict(reward.components),
        "status": reward.status,
        "truncated": trajectory.truncated,
    }
