"""Stage `reward`: a model learns which of two replies people prefer.

A chat model gets a head for one score, and TRL's `RewardTrainer` fits the Bradley-Terry model
(Bradley and Terry 1952; Ouyang et al. 2022, eq. 1):

    loss = -log sigmoid(r(chosen) - r(rejected) - margin) + c (r(chosen) + r(rejected))^2

with a margin where the data has them (Touvron et al. 2023, eq. 2), and a term that keeps the
scores centred around 0 (Eisenstein et al. 2023, eq. 2).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import Field

from rlenv.common.errors import UserError
from rlenv.common.files import folder_atomically
from rlenv.data.preferences import Pair
from rlenv.engines.base import mix
from rlenv.models import checkpoint, shared_backbone
from rlenv.models.chat_format import ChatFormat
from rlenv.models.reward_model import RewardModel, load_scorer
from rlenv.run.config import EnvSettings
from rlenv.run.stage import Artifact, Context, Stage
from rlenv.trainers.common import lora, trl_stage
from rlenv.trainers.common.lora import LoRASettings, without_renaming
from rlenv.trainers.common.trl_stage import SubContext, TRLSettings
from rlenv.trainers.preference import data, report, tokens
from rlenv.trainers.preference.data import Gathered, PreferenceData
from rlenv.trainers.preference.tokens import TokenPair

REPORT = "reward_report.json"


class RewardSettings(TRLSettings):
    """Settings of the stage.

    Attributes:
        data: the preferences.
        margins: take the pairs' margins into the loss; pairs without one have 0.
        centre: weight of the term that centres the scores; 0 leaves it out.
        members: how many models to train, from heads and in orders of their own.
        lora: train low-rank adapters and the head in place of all weights.
        eval_every: steps between measurements on held-out pairs.
    """

    data: PreferenceData
    margins: bool = False
    centre: float = Field(0.01, ge=0)
    members: int = Field(1, ge=1, le=16)
    lora: LoRASettings | None = None
    eval_every: int = Field(50, ge=1)


class RewardStage(Stage[RewardSettings]):
    """Train a reward model, or an ensemble, from a chat model."""

    needs: ClassVar[Artifact] = "chat model"
    gives: ClassVar[Artifact] = "reward model"
    plays: ClassVar[bool] = False
    Settings = RewardSettings

    def check(self, env: EnvSettings | None, source: str | None) -> None:
        """See `Stage.check`."""
        data.check(self.settings.data, env)

    def plan(self) -> tuple[str, str]:
        """See `Stage.plan`."""
        s = self.settings
        many = "" if s.members == 1 else f"{s.members} models, "
        return f"{many}Bradley-Terry on {s.data.words()}", f"{self.steps()} steps"

    def steps(self) -> int:
        """See `Stage.steps`."""
        s = self.settings
        return s.members * s.steps(data.expected_pairs(s.data))

    def run(self, context: Context) -> None:
        """See `Stage.run`."""
        s = self.settings
        assert context.source is not None
        causal, tokenizer = checkpoint.load(context.source, device=context.device)
        chat = ChatFormat(tokenizer, context.source)
        pairs = data.gather(s.data, context, causal, chat)
        if not pairs.held_out:
            raise UserError(
                f"{s.data.words()} gave no held-out pairs to measure a reward model with, only "
                f"{len(pairs.train)} to train on; more prompts are needed"
            )
        del causal
        steps = s.steps(len(pairs.train))
        folders = [
            self._train(self._member(context, number, steps), pairs, tokenizer, chat)
            for number in range(s.members)
        ]
        every = RewardModel([load_scorer(str(f), context.device)[0] for f in folders], chat, "")
        figures = report.measure(every, pairs.held_out).figures()
        context.display.say(f"{context.stage:<9} {report.sentence(figures)}")
        with folder_atomically(context.out) as folder:
            for number, member in enumerate(folders):
                place = folder if number == 0 else folder / f"member-{number}"
                shutil.copytree(member, place, dirs_exist_ok=True)
            (folder / REPORT).write_text(
                json.dumps({**figures, "data": pairs.record()}, indent=1), encoding="utf-8"
            )

    def _member(self, context: Context, number: int, steps: int) -> SubContext:
        """Return what one member works with; all begin at the same chat model."""
        return SubContext.of(
            context,
            f"member-{number}",
            seed=mix(context.seed, number) % 2**31,
            before=number * steps,
            source=str(context.source),
        )

    def _row(self, pair: Pair, made: TokenPair) -> tokens.Row:
        row = tokens.for_reward(made)
        return {**row, "margin": pair.margin or 0.0} if self.settings.margins else row

    def _train(
        self, context: SubContext, pairs: Gathered, tokenizer: Any, chat: ChatFormat
    ) -> Path:
        """Train one member, unless that was done before; return its folder."""
        if context.model.is_dir():
            return context.model
        s = self.settings
        model = with_head(str(context.source), context.device, context.seed)
        if s.lora is not None:
            lora.check_targets(model, s.lora, but=getattr(model, "score", None))
        rows = [self._row(*pair) for pair in pairs.train]
        with without_renaming():
            trainer = make_trainer(s, context, model, tokenizer, rows)

        def evaluate() -> Mapping[str, float]:
            scorer = RewardModel([trainer.model], chat, "")
            figures = report.measure(scorer, pairs.held_out).figures()
            return {
                "held_out/accuracy": figures["accuracy"]["value"],
                "held_out/log_loss": figures["log_loss"],
                "held_out/calibration_error": figures["calibration"]["expected_error"],
            }

        trl_stage.fit(trainer, context, evaluate=evaluate, eval_every=s.eval_every)
        trained = trainer.model
        with folder_atomically(context.model) as folder:
            if s.lora is not None:  # kept beside the merged model, for a policy of the same trunk
                trained.peft_config["default"].base_model_name_or_path = context.source
                trained.save_pretrained(folder / shared_backbone.ADAPTER)
                trained = trained.merge_and_unload()
            trained.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        return context.model


def with_head(source: str, device: str, seed: int) -> Any:
    """Return a chat model with a new head for one score in place of its own.

    Args:
        source: the chat model's checkpoint.
        device: torch device, or `auto`.
        seed: of the head's weights.
    """
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(seed)
    chosen = checkpoint.pick_device(device)
    dtype = "float32" if chosen == "cpu" else "auto"
    model = AutoModelForSequenceClassification.from_pretrained(source, num_labels=1, dtype=dtype)
    return model.to(chosen)


def make_trainer(
    s: RewardSettings, context: Context, model: Any, tokenizer: Any, rows: list[tokens.Row]
) -> Any:
    """Return TRL's trainer on rows of tokens, see `tokens.for_reward`."""
    from datasets import Dataset
    from trl import RewardConfig, RewardTrainer

    return RewardTrainer(
        model=model,
        args=trl_stage.arguments(
            RewardConfig,
            context,
            s,
            center_rewards_coefficient=s.centre or None,
            max_length=None,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=None if s.lora is None else lora.adapter_config(s.lora, "SEQ_CLS"),
    )
