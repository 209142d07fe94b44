"""Stages that fit a policy to preferences directly, without a reward model between them.

With several rounds the policy samples its own pairs anew in each one (iterative, or online, DPO;
Xiong et al. 2024): the environment judges them, a verifier or a learned reward model.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import Field, model_validator

from rlenv.common.files import folder_atomically, write_atomically
from rlenv.engines.base import mix
from rlenv.engines.local import evaluating
from rlenv.models import checkpoint
from rlenv.models.chat_format import ChatFormat
from rlenv.run.config import EnvSettings
from rlenv.run.stage import Artifact, Context, Stage
from rlenv.trainers.common import lora, trl_stage
from rlenv.trainers.common.lora import LoRASettings, without_renaming
from rlenv.trainers.common.trl_stage import SubContext, TRLSettings
from rlenv.trainers.common.validation import EvalSampling
from rlenv.trainers.preference import data
from rlenv.trainers.preference.data import Gathered, PreferenceData
from rlenv.trainers.rl.critic import frozen
from rlenv.trainers.sft.validation import PolicyEvaluator

_HELD_OUT_METRICS = ("loss", "rewards/accuracies", "rewards/margins")
_PREFERENCES = "preferences.json"


class DirectSettings(TRLSettings):
    """Settings of a stage that fits a policy to preferences.

    Attributes:
        data: the preferences.
        beta: how strongly the policy is held to the reference.
        precompute: ask the reference for its log-probabilities once, before training, so that it
            need not be kept in memory.
        lora: train low-rank adapters; the reference is then the model without them.
        rounds: how often pairs are sampled and trained on; more than one needs `data.sample`.
        reference: the policy that divergence is measured from: that of the `start` of the stage,
            or that of the start of each `round`.
        eval_every: steps between measurements.
        eval_tasks: tasks of the environment's validation split that are played then; 0 plays none.
        max_tokens: of a reply there.
        eval_sampling: how they are played, by default once each at temperature 1.
    """

    data: PreferenceData
    learning_rate: float = Field(1e-4, gt=0)
    beta: float = Field(0.1, gt=0)
    precompute: bool = False
    lora: LoRASettings | None = None
    rounds: int = Field(1, ge=1)
    reference: Literal["round", "start"] = "round"
    eval_every: int = Field(50, ge=1)
    eval_tasks: int = Field(0, ge=0)
    max_tokens: int = Field(256, ge=1)
    eval_sampling: EvalSampling = EvalSampling()

    @model_validator(mode="after")
    def _rounds_sample(self) -> DirectSettings:
        if self.rounds > 1 and self.data.sample is None:
            raise ValueError("several rounds need data.sample, which makes new pairs in each")
        if self.rounds > 1 and self.lora is not None and self.reference == "start":
            raise ValueError(
                "with lora the reference is the policy without its adapter, that of the round; "
                "set reference: round"
            )
        return self


def on_tokens(trainer: Any) -> Any:
    """Return a trainer class of TRL that takes rows of tokens as they are, and tokenizes nothing.

    They are the tokens of our `ChatFormat`, where TRL would render and tokenize text. DPO's rows
    hold `prompt_ids`, `chosen_ids` and `rejected_ids`, KTO's `prompt_ids`, `completion_ids`,
    `label` and `KL_completion_ids`.

    Args:
        trainer: `DPOTrainer` or `KTOTrainer`.
    """

    class OnTokens(trainer):  # type: ignore[misc, unused-ignore]
        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset

    return OnTokens


SettingsType = TypeVar("SettingsType", bound=DirectSettings)


class DirectStage(Stage[SettingsType]):
    """Fit a policy to preferences; DPO and KTO say with which trainer."""

    needs: ClassVar[Artifact] = "chat model"
    gives: ClassVar[Artifact] = "chat model"
    plays: ClassVar[bool] = False

    def make_trainer(
        self, context: SubContext, model: Any, reference: Any, tokenizer: Any, pairs: Gathered
    ) -> Any:
        """Return a trainer of TRL.

        Args:
            context: of the round.
            model: the policy.
            reference: a frozen copy; None where it is the policy without adapter, or precomputed.
            tokenizer: of both.
            pairs: to train on, and held-out ones to measure with; or labelled replies.
        """
        raise NotImplementedError

    def check(self, env: EnvSettings | None, source: str | None) -> None:
        """See `Stage.check`."""
        data.check(self.settings.data, env)

    def steps(self) -> int:
        """See `Stage.steps`."""
        s = self.settings
        return s.rounds * s.steps(data.expected_pairs(s.data))

    def run(self, context: Context) -> None:
        """See `Stage.run`."""
        source = str(context.source)
        for number in range(self.settings.rounds):
            part = SubContext.of(
                context,
                f"round-{number}",
                seed=mix(context.seed, number) % 2**31,
                before=_steps_before(context, number),
                source=source,
            )
            if not part.model.is_dir():
                self._round(part, start=str(context.source))
            source = str(part.model)
        with folder_atomically(context.out) as folder:
            for file in Path(source).iterdir():
                folder.joinpath(file.name).write_bytes(file.read_bytes())

    def _round(self, context: SubContext, start: str) -> None:
        """Gather preferences, train on them, and leave the round's model."""
        s = self.settings
        model, tokenizer = checkpoint.load(str(context.source), device=context.device)
        chat = ChatFormat(tokenizer, str(context.source))
        if s.lora is not None:
            # TRL computes the loss from the output layer's weights, past an adapter
            lora.check_targets(model, s.lora, but=model.get_output_embeddings())
        pairs = data.gather(s.data, context, model, chat)
        reference = None
        if s.lora is None and not s.precompute:
            reference = copy.deepcopy(model)
            if s.reference == "start":
                reference = checkpoint.load(start, device=context.device)[0]
            frozen(reference)
        with without_renaming():
            trainer = self.make_trainer(context, model, reference, tokenizer, pairs)
        played = None
        if s.eval_tasks and context.env is not None:
            played = PolicyEvaluator(
                context,
                trainer.model,
                chat,
                tasks=s.eval_tasks,
                max_tokens=s.max_tokens,
                how=s.eval_sampling,
            )

        def evaluate() -> Mapping[str, float]:
            found = {}
            if pairs.can_measure:
                with evaluating(trainer.model):
                    measured = trainer.evaluate()
                found = {
                    f"held_out/{name}": measured[f"eval_{name}"]
                    for name in _HELD_OUT_METRICS
                    if f"eval_{name}" in measured  # KTO has no accuracy: nothing is compared
                }
            if played is not None:
                found |= played.metrics()
            return found

        trl_stage.fit(trainer, context, evaluate=evaluate, eval_every=s.eval_every)
        trained = trainer.model if s.lora is None else trainer.model.merge_and_unload()
        trained.config.use_cache = True
        write_atomically(context.state / "steps", str(context.before + trainer.state.global_step))
        checkpoint.save(trained, tokenizer, context.model)
        record = {"stage": context.stage, "round": context.name, **pairs.record()}
        write_atomically(context.model / _PREFERENCES, json.dumps(record, indent=1))

    def common(self) -> dict[str, Any]:
        """Return what the configurations of DPO and KTO have in common."""
        s = self.settings
        return {
            "beta": s.beta,
            "max_length": None,
            "precompute_ref_log_probs": s.precompute,
            "per_device_eval_batch_size": s.batch_size,
        }

    def adapter(self) -> Any:
        """Return peft's configuration of the adapter, if there is one."""
        s = self.settings
        return None if s.lora is None else lora.adapter_config(s.lora, "CAUSAL_LM")


def _steps_before(context: Context, number: int) -> int:
    """Return how many steps the rounds before took."""
    if number == 0:
        return 0
    return int((context.state / f"round-{number - 1}" / "steps").read_text())
