"""Settings of an on-policy stage; what an algorithm sets of its own comes from `algorithms`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from rlenv.common.errors import UserError, did_you_mean
from rlenv.common.settings import Settings, TaskRange, suggestion
from rlenv.rollouts.curriculum import CurriculumSettings
from rlenv.trainers.common.lora import LoRASettings
from rlenv.trainers.common.validation import EvalSampling
from rlenv.trainers.rl import algorithms
from rlenv.trainers.rl.algorithms import Aggregate
from rlenv.trainers.rl.kl import KLSettings
from rlenv.trainers.rl.monitors import ALARMS, Action

_MOST_ROLLOUTS = 10_000_000  # of a step; more fit into no memory


class CriticSettings(Settings):
    """The value function of PPO.

    Attributes:
        shared: the values come from a head on the policy's own trunk; otherwise from a second
            model that begins as a copy of the policy.
        learning_rate: of a model of its own; the policy's if left out.
        coefficient: weight of the value loss.
        clip: how far a value may move from its old one in a batch; None for no limit.
        gae_lambda: lambda of GAE.
        unit: an action is a `token`, or a whole `turn`.
        whiten: give the advantages of a batch mean 0 and variance 1.
    """

    shared: bool = False
    learning_rate: float | None = Field(None, gt=0)
    coefficient: float = Field(0.5, gt=0)
    clip: float | None = Field(0.2, gt=0)
    gae_lambda: float = Field(0.95, ge=0, le=1)
    unit: Literal["token", "turn"] = "token"
    whiten: bool = True


class OverlongSettings(Settings):
    """Soft overlong punishment (Yu et al. 2025, eq. 13), for every turn.

    Attributes:
        buffer: the last tokens before `max_tokens`, in which the penalty grows; a fifth of them if
            left out, as in the paper.
        penalty: what a reply of `max_tokens` loses.
    """

    buffer: int | None = Field(None, ge=1)
    penalty: float = Field(1.0, gt=0)


class OnPolicySettings(Settings):
    """Settings of an on-policy stage.

    Attributes:
        algorithm: a name in `rlenv.trainers.rl.algorithms`, or `file.py:name`. It sets some of the
            settings below its own way, where they are left out.
        steps: rollout batches.
        groups: tasks a step.
        group_size: rollouts a task.
        task_range: the part of the training tasks that is played, by their content. Where `sft`
            was shown `[0, 0.5]`, `[0.5, 1]` are tasks that the policy can't know by heart.
        max_refills: how many times a step may sample new groups in place of those whose rewards
            are all equal; 0 goes on with what there is.
        learning_rate: the highest.
        schedule: after the warmup the learning rate stays `constant`, or falls to zero in a
            `linear` way.
        warmup_steps: in which the learning rate rises.
        temperature: to sample with.
        max_tokens: of a reply.
        minibatches: how many a rollout batch is cut into, whole groups in each; a pass over it
            takes an optimizer step on each of them.
        epochs: passes over a rollout batch.
        micro_batch: rows in a forward pass; the result does not depend on it.
        clip_low, clip_high: the ratio is clipped to [1 - clip_low, 1 + clip_high].
        aggregate: how token losses add up, see `algorithms.token_weights`.
        credit: a turn is judged by what was earned from it on (`turn`), or by the total of its
            episode.
        gamma: discount from one turn, or with a critic from one action, to the next; with 0 a turn
            is judged by its own reward alone.
        reward_clip: the least and the most that a turn counts for (Mnih et al. 2015), or an episode
            where that is judged whole, so that luck does not outweigh all else; metrics and
            evaluations show rewards as they were.
        kl: divergence from the policy that the stage began with.
        entropy_bonus: weight of the mean entropy of a token, which is added to the objective.
        critic: settings of the value function, for algorithms that have one.
        overlong: penalty on replies near `max_tokens`.
        drop_truncated: leave replies that were cut off out of the batch (overlong filtering).
        importance_cap: for engines whose logprobs differ from the model's: take the model's own,
            and weigh each token by their ratio, at most this (truncated importance sampling). 2 if
            left out with `engine: vllm`, otherwise what the engine asks for, which is none.
        lora: train low-rank adapters in place of all weights.
        train_only: names of the policy's modules that are trained, the rest frozen; see
            `rlenv.trainers.common.freezing`.
        gradient_checkpointing: keep less in memory and compute some of it twice.
        weight_decay: of AdamW.
        max_grad_norm: gradients are scaled down to this norm.
        max_loss: a loss beyond it, in size, stops the run.
        eval_every: steps between held-out evaluations, on the validation split.
        eval_tasks: how many tasks they play.
        eval_sampling: how they play, by default once each, at `temperature`.
        keep_best: leave the weights with the highest held-out reward in place of the last ones; or
            the name of a component of the reward to go by.
        gold_component: a component of the reward, such as one of weight 0, that says how good the
            policy is where the reward itself is learned; see `monitors.Monitor.gold_lost`.
        alarms: what is done on an alarm of `monitors.ALARMS`: `warn`, which is what is done on
            those left out, `stop` to end the stage there, or `raise` to double the coefficient of
            the KL.
        keep_episodes: how many sampled episodes are kept at each of them.
        save_every: steps between saves of the state.
        max_grader_errors: a run stops when a larger share of a step's rollouts can't be judged.
        curriculum: an option of the environment that follows the success rate; see
            `rlenv.rollouts.curriculum`.
    """

    renamed: ClassVar[Mapping[str, str]] = {
        "gold": "gold_component",
        "part": "task_range",
        "signs": "alarms",
        "updates": "minibatches",
    }

    algorithm: str = "grpo"
    steps: int = Field(ge=1)
    groups: int = Field(64, ge=1)
    group_size: int = Field(16, ge=1)
    task_range: TaskRange = (0.0, 1.0)
    max_refills: int = Field(0, ge=0)
    learning_rate: float = Field(1e-3, gt=0)
    schedule: Literal["constant", "linear"] = "constant"
    warmup_steps: int = Field(5, ge=0)
    temperature: float = Field(1.0, gt=0)
    max_tokens: int = Field(256, ge=1)
    minibatches: int = Field(1, ge=1)
    epochs: int = Field(1, ge=1)
    micro_batch: int = Field(512, ge=1)
    clip_low: float = Field(0.2, gt=0, le=1)
    clip_high: float = Field(0.2, gt=0)
    aggregate: Aggregate = "token"
    credit: Literal["turn", "episode"] = "turn"
    gamma: float = Field(1.0, ge=0, le=1)
    reward_clip: tuple[float, float] | None = None
    kl: KLSettings = KLSettings()
    entropy_bonus: float = Field(0.0, ge=0)
    critic: CriticSettings | None = None
    overlong: OverlongSettings | None = None
    drop_truncated: bool = False
    importance_cap: float | None = Field(None, ge=1)
    lora: LoRASettings | None = None
    train_only: list[str] | None = Field(None, min_length=1)
    gradient_checkpointing: bool = False
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    max_loss: float = Field(1e3, gt=0)
    eval_every: int = Field(25, ge=1)
    eval_tasks: int = Field(200, ge=1)
    eval_sampling: EvalSampling = EvalSampling()
    keep_best: bool | str = False
    gold_component: str | None = None
    alarms: dict[str, Action] = Field(default_factory=dict)
    keep_episodes: int = Field(4, ge=0)
    save_every: int = Field(25, ge=1)
    max_grader_errors: float = Field(0.2, ge=0, le=1)
    curriculum: CurriculumSettings | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_the_algorithm(cls, values: Any) -> Any:
        """Put the algorithm's own settings under the user's."""
        if not isinstance(values, Mapping):
            return values
        name = values.get("algorithm", cls.model_fields["algorithm"].default)
        if not isinstance(name, str):
            return values
        found = algorithms.find(name)
        for setting in found.defaults:
            if setting not in cls.model_fields:
                raise UserError(
                    f"the algorithm {name} sets {setting!r}, which is not a setting of the stage."
                    f"{suggestion(cls, setting)}"
                )
        defaults = {"critic": {}, **found.defaults} if found.critic else found.defaults
        return _under(defaults, values)

    @model_validator(mode="after")
    def _fit(self) -> OnPolicySettings:
        critic = algorithms.find(self.algorithm).critic
        if self.minibatches > self.groups:
            raise ValueError("minibatches can't be more than groups")
        if self.groups * self.group_size > _MOST_ROLLOUTS:
            raise ValueError(
                f"groups x group_size is {self.groups * self.group_size:,} rollouts a step, and "
                f"the most are {_MOST_ROLLOUTS:,}"
            )
        if self.group_size < 2 and not critic:
            raise ValueError(
                f"{self.algorithm} compares the rollouts of a task, so group_size is at least 2"
            )
        if self.critic is not None and not critic:
            raise ValueError(f"{self.algorithm} has no critic; algorithm: ppo has one")
        if critic and self.max_refills:
            raise ValueError("a critic learns from every rollout, so there is nothing to refill")
        if self.kl.coefficient and self.lora is None and not self.kl.reference:
            raise ValueError("kl.coefficient needs kl.reference: true")
        if unknown := next((name for name in self.alarms if name not in ALARMS), None):
            hint = did_you_mean(unknown, ALARMS)
            raise ValueError(f"{unknown!r} is no alarm; there are {', '.join(ALARMS)}.{hint}")
        if "raise" in self.alarms.values() and not self.kl.coefficient:
            raise ValueError("to raise the coefficient of the KL, kl.coefficient must be above 0")
        if "gold" in self.alarms and self.gold_component is None:
            raise ValueError("the alarm gold needs gold_component, the component to watch")
        if self.reward_clip is not None and not self.reward_clip[0] < self.reward_clip[1]:
            raise ValueError("reward_clip is [low, high], low below high")
        if self.lora is not None and self.train_only is not None:
            raise ValueError("lora freezes the policy itself; leave out one of lora and train_only")
        if self.overlong is not None and (self.overlong.buffer or 0) > self.max_tokens:
            raise ValueError("overlong.buffer can't be more than max_tokens")
        return self


class PPOSettings(OnPolicySettings):
    """Settings of an on-policy stage that begin at PPO's."""

    algorithm: str = "ppo"
    groups: int = Field(512, ge=1)


def _under(defaults: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with defaults where they are left out, section by section."""
    merged = {**defaults, **values}
    for name, default in defaults.items():
        given = values.get(name)
        if isinstance(default, Mapping) and isinstance(given, Mapping):
            merged[name] = _under(default, given)
    return merged
