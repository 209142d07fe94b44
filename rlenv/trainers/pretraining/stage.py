"""Stage `pretrain`: a decoder learns to predict text, from random weights."""

from __future__ import annotations

from typing import ClassVar

import torch

from rlenv.data.pipeline import corpus
from rlenv.models import checkpoint, presets
from rlenv.run.config import EnvSettings
from rlenv.run.stage import Artifact, Context, Stage
from rlenv.trainers.pretraining.settings import PretrainSettings
from rlenv.trainers.pretraining.training import read_texts, short_names, train


class PretrainStage(Stage[PretrainSettings]):
    """Train a small decoder on mixtures of texts."""

    needs: ClassVar[Artifact] = "tokenizer"
    gives: ClassVar[Artifact] = "model"
    Settings = PretrainSettings

    def check(self, env: EnvSettings | None, source: str | None) -> None:
        """See `Stage.check`."""
        _ = self.settings.shape  # of a preset that exists
        for name in self.settings.sources:
            corpus.check_source(name, env)

    def plan(self) -> tuple[str, str]:
        """See `Stage.plan`."""
        s = self.settings
        tokens = s.total_steps * s.batch_size * s.length
        sources = ", ".join(short_names(s.sources).values())
        size = s.model if isinstance(s.model, str) else str(s.shape)
        if s.optimum is not None:
            size = f"some {s.optimum.parameters:,.0f} parameters"
        return f"{size} from random weights, on {sources}", f"{tokens:,} tokens"

    def steps(self) -> int:
        """See `Stage.steps`."""
        return self.settings.total_steps

    def run(self, context: Context) -> None:
        """See `Stage.run`."""
        s = self.settings
        assert context.source is not None
        tokenizer = checkpoint.load_tokenizer(context.source)
        tokenizer.model_max_length = max(s.length, tokenizer.model_max_length)
        texts = read_texts(s, context, tokenizer)
        shape = s.shape
        if s.optimum is not None:
            shape = presets.shape_of_size(s.optimum.parameters, len(tokenizer))
        torch.manual_seed(context.seed)
        model = presets.build(
            shape,
            vocabulary=len(tokenizer),
            max_length=tokenizer.model_max_length,
            tokenizer=tokenizer,
        ).to(checkpoint.pick_device(context.device))
        train(context, s, s.total_steps, model, tokenizer, texts)
        checkpoint.save(model, tokenizer, context.out)
