"""Stage `rejection`: fine-tune on the policy's own replies that were right, in rounds.

Known as rejection-sampling fine-tuning (Yuan et al. 2023, "Scaling Relationship on Learning
Mathematical Reasoning"), STaR (Zelikman et al. 2022) where each round begins from the same model,
and ReST-EM (Singh et al. 2024) as expectation maximisation. The tokens that were sampled are the
tokens that are trained on.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from pydantic import Field

from rlenv.common.errors import RunFailed
from rlenv.common.files import clear, write_atomically
from rlenv.core.env import TextEnv
from rlenv.core.trajectory import Group, Trajectory
from rlenv.engines.base import Sampling, mix
from rlenv.evaluation import mean_reward
from rlenv.models import checkpoint
from rlenv.models.chat_format import ChatFormat
from rlenv.rollouts.rollout import EnvPool, play
from rlenv.run.config import EnvSettings
from rlenv.run.stage import Artifact, Context, Stage
from rlenv.trainers.common import trl_stage
from rlenv.trainers.common.trl_stage import SubContext
from rlenv.trainers.sft import fit
from rlenv.trainers.sft.rows import IGNORED, TokenRow
from rlenv.trainers.sft.settings import FitSettings
from rlenv.trainers.sft.validation import PolicyEvaluator


class RejectionSettings(FitSettings):
    """Settings of the stage.

    Attributes:
        rounds: of sampling and fitting.
        tasks: drawn from the environment's train split in each round.
        samples: replies to each.
        keep: the most different right replies to one task that are learned from.
        restart: each round fits the model that the stage began with, as in STaR; otherwise it goes
            on from the round before.
        gather: learn from the replies of earlier rounds too.
        temperature: to sample with.
        max_tokens: of a reply.
        eval_tasks: validation tasks played after each round, once each at temperature 1.
        keep_episodes: how many sampled episodes of a round are kept to look at.
        max_grader_errors: the stage stops when a larger share of a round can't be judged.
    """

    rounds: int = Field(3, ge=1)
    tasks: int = Field(512, ge=1)
    samples: int = Field(8, ge=1)
    keep: int = Field(4, ge=1)
    restart: bool = True
    gather: bool = True
    temperature: float = Field(1.0, gt=0)
    max_tokens: int = Field(256, ge=1)
    eval_tasks: int = Field(200, ge=1)
    keep_episodes: int = Field(4, ge=0)
    max_grader_errors: float = Field(0.2, ge=0, le=1)


@dataclass
class Round:
    """What a round sampled.

    Attributes:
        rows: tokens and labels of the right replies.
        reward: mean of the samples.
        solved: share of the tasks with a right reply.
        kept: share of the samples that are learned from.
        sampled: tokens.
        episodes: some of what was sampled, to look at.
    """

    rows: list[TokenRow]
    reward: float
    solved: float
    kept: float
    sampled: int
    episodes: list[dict[str, Any]]

    def metrics(self) -> dict[str, float]:
        """Return the figures to log."""
        return {
            "reward": self.reward,
            "rejection/solved": self.solved,
            "rejection/kept": self.kept,
            "rejection/rows": float(len(self.rows)),
            "rejection/sampled_tokens": float(self.sampled),
        }


class RejectionStage(Stage[RejectionSettings]):
    """Sample, keep what was right, fit, and again."""

    needs: ClassVar[Artifact] = "chat model"
    gives: ClassVar[Artifact] = "chat model"
    plays: ClassVar[bool] = True
    Settings = RejectionSettings

    def check(self, env: EnvSettings | None, source: str | None) -> None:
        """See `Stage.check`."""

    def plan(self) -> tuple[str, str]:
        """See `Stage.plan`."""
        s = self.settings
        return (
            f"its own right replies, {s.rounds} rounds of {s.tasks:,} tasks x {s.samples}",
            f"{s.rounds * s.tasks * s.samples:,} rollouts",
        )

    def run(self, context: Context) -> None:
        """See `Stage.run`."""
        s = self.settings
        assert context.source is not None
        latest, before = context.source, 0
        gathered: list[TokenRow] = []
        for number in range(s.rounds):
            if context.stop.requested:
                context.interrupt(before)
            part = SubContext.of(
                context,
                f"round-{number + 1}",
                seed=mix(context.seed, number) % 2**31,
                before=before,
                source=latest,
            )
            made = _sampled(s, part)
            gathered = [*gathered, *made.rows] if s.gather else made.rows
            steps = part.state / "steps.json"
            if not steps.exists():
                start = context.source if s.restart else latest
                taken = _fitted(s, part, start, gathered, made, rounds_left=s.rounds - number)
                write_atomically(steps, json.dumps(taken))
            before += json.loads(steps.read_text())
            latest = str(part.model)
        shutil.copytree(latest, context.out, dirs_exist_ok=True)
        clear(context.state)


def _sampled(s: RejectionSettings, part: SubContext) -> Round:
    """Return what a round samples with the model it begins at, from its file if that is there."""
    file = part.state / "sampled.json"
    if file.exists():
        return Round(**json.loads(file.read_text()))
    assert part.source is not None
    model, tokenizer = checkpoint.load(part.source, device=part.device)
    chat = ChatFormat(tokenizer, part.source)
    pool = EnvPool(lambda: part.make_env("train"))
    env = pool.take(1)[0]
    tasks = env.tasks.for_training()
    rng = random.Random(f"rejection/{part.seed}")
    groups = play(
        pool,
        checkpoint.engine_for(model, chat, part.engine),
        chat,
        [tasks.sample(rng) for _ in range(s.tasks)],
        samples=s.samples,
        sampling=Sampling(temperature=s.temperature, max_tokens=s.max_tokens),
        seed=part.seed,
        max_length=fit.max_length(s, model, tokenizer),
    )
    made = _kept(groups, s, env)
    part.state.mkdir(parents=True, exist_ok=True)
    write_atomically(file, json.dumps(asdict(made)))
    part.display.say(
        f"{part.name}: {len(made.rows):,} right replies to learn from, "
        f"{made.solved:.0%} of {s.tasks:,} tasks have one"
    )
    return made


def _kept(groups: list[Group], s: RejectionSettings, env: TextEnv) -> Round:
    """Keep the right replies.

    Raises:
        RunFailed: there are none, or too many could not be judged.
    """
    samples = [t for group in groups for t in group.trajectories]
    failed = [t.reward.detail for t in samples if not t.reward.judged]
    if len(failed) > s.max_grader_errors * len(samples):
        raise RunFailed(
            f"the grader failed on {len(failed) / len(samples):.0%} of the rollouts, more than "
            f"max_grader_errors={s.max_grader_errors:g}: {failed[0]}"
        )
    right = solved_episodes(groups, solved_at=env.solved_at, keep=s.keep)
    if not right:
        raise RunFailed(
            f"none of {len(samples):,} replies was right, so there is nothing to learn from; begin "
            "from a better model, or with easier tasks"
        )
    return Round(
        rows=[as_row(t) for t in right],
        reward=mean_reward(groups),
        solved=len({t.task.key for t in right}) / len({group.task.key for group in groups}),
        kept=len(right) / len(samples),
        sampled=sum(t.sampled_tokens for t in samples),
        episodes=[group.trajectories[0].record(env) for group in groups[: s.keep_episodes]],
    )


def solved_episodes(groups: Sequence[Group], *, solved_at: float, keep: int) -> list[Trajectory]:
    """Return the episodes that solved their task, the same tokens once.

    Args:
        groups: one or several a task.
        solved_at: the reward from which on a task is solved.
        keep: the most episodes of one task, so that easy tasks don't crowd out hard ones (Singh et
            al. 2024, section 3, takes 10).

    Returns:
        In order. Never one that was cut off: its policy would not learn to stop.
    """
    kept: list[Trajectory] = []
    said: dict[str, set[tuple[int, ...]]] = {}  # key of a task -> token ids
    for group in groups:
        seen = said.setdefault(group.task.key, set())
        for t in group.trajectories:
            right = t.reward.judged and t.reward.value >= solved_at and not t.truncated
            ids = tuple(t.token_ids)
            if right and len(seen) < keep and ids not in seen:
                seen.add(ids)
                kept.append(t)
    return kept


def as_row(trajectory: Trajectory) -> TokenRow:
    """Return an episode's tokens, with labels on what the policy sampled."""
    ids, mask = trajectory.token_ids, trajectory.loss_mask
    labels = [token if on else IGNORED for token, on in zip(ids, mask, strict=True)]
    return {"input_ids": list(ids), "labels": labels}


def _fitted(
    s: RejectionSettings,
    part: SubContext,
    source: str,
    rows: list[TokenRow],
    made: Round,
    *,
    rounds_left: int,
) -> int:
    """Fit a model to rows and leave it at `part.model`; return the steps that took."""
    model, tokenizer = checkpoint.load(source, device=part.device)
    chat = ChatFormat(tokenizer, source)
    model = fit.prepare(model, chat, s, part.seed)
    player = PolicyEvaluator(part, model, chat, tasks=s.eval_tasks, max_tokens=s.max_tokens)
    trainer = fit.make_trainer(s, part, model, tokenizer, rows)
    steps = s.steps(len(trainer.train_dataset))
    part.display.expect(part.before + steps * rounds_left)
    trl_stage.fit(
        trainer,
        part,
        evaluate=lambda: {**player.metrics(), **made.metrics()},
        eval_every=steps,  # at the end of a round alone
    )
    part.keep_episodes(part.before + steps, made.episodes)
    fit.save(model, tokenizer, s, part.model)
    return steps
