"""Settings of the pretraining stage."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from rlenv.common.settings import Settings
from rlenv.models.presets import Preset, preset
from rlenv.trainers.common.optimizers import OptimizerName, cosine, warmup_stable_decay
from rlenv.trainers.pretraining.objectives import ObjectiveName
from rlenv.trainers.pretraining.scaling import LAWS, LawName, Optimum


def _positive(corpus: list[str] | dict[str, float]) -> list[str] | dict[str, float]:
    if isinstance(corpus, dict) and min(corpus.values()) <= 0:
        raise ValueError("the share of a source must be more than 0; leave it out otherwise")
    return corpus


Corpus = Annotated[list[str] | dict[str, float], Field(min_length=1), AfterValidator(_positive)]


class PhaseSettings(Settings):
    """A part of the run with a mixture of its own.

    Attributes:
        share: of the steps; those of all phases add up to 1.
        corpus: sources in equal shares, or a mapping from source to share.
    """

    share: float = Field(gt=0, le=1)
    corpus: Corpus


class TrainingSettings(Settings):
    """How a model is trained on text, whatever it starts from.

    Attributes:
        corpus: sources in equal shares, or a mapping from source to share of the rows.
        phases: mixtures that follow one another, in place of `corpus`.
        tasks: how many solved tasks the source `tasks` holds.
        steps: optimizer steps.
        batch_size: rows a step.
        micro_batch: rows in a forward pass, all if left out; the result does not depend on it.
        length: tokens a row.
        objective: `causal` asks for the next token, `masked` for masked tokens as BERT's, `spans`
            for cut-out spans as T5's; see `objectives`.
        corruption: share of the tokens that `masked` and `spans` ask for.
        span: mean length of the spans.
        optimizer: `adamw`, or `muon` with AdamW for embeddings, head and norms.
        learning_rate: the highest.
        schedule: `wsd` stays at the highest rate and falls to zero at the end; `cosine` falls
            all the way.
        warmup: share of the steps in which the learning rate rises.
        decay: share of the steps, at the end, in which `wsd` falls.
        floor: what `cosine` falls to, as a share of the highest rate.
        weight_decay: on matrices.
        max_grad_norm: gradients are scaled down to this norm.
        bf16: compute matrix products in bfloat16; weights and optimizer stay float32.
        held_out: share of each source that is kept for validation.
        eval_every: steps between validations; there is one at the end too.
        eval_characters: of each source's held-out text that they read.
        prompts: the texts that the model continues at each validation, "" for a new document.
        sample_tokens: how long these texts become.
        save_every: steps between saves of the state.
    """

    corpus: Corpus = Field(default=["python_topics", "tasks"])
    phases: list[PhaseSettings] = Field(default=[])
    tasks: int = Field(100_000, ge=1)
    batch_size: int = Field(64, ge=1)
    micro_batch: int | None = Field(None, ge=1)
    length: int = Field(128, ge=2)
    objective: ObjectiveName = "causal"
    corruption: float = Field(0.15, gt=0, lt=1)
    span: float = Field(3.0, ge=1)
    optimizer: OptimizerName = "adamw"
    learning_rate: float = Field(3e-3, gt=0)
    schedule: Literal["wsd", "cosine"] = "wsd"
    warmup: float = Field(0.05, ge=0, le=1)
    decay: float = Field(0.3, ge=0, le=1)
    floor: float = Field(0.1, ge=0, le=1)
    weight_decay: float = Field(0.1, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    bf16: bool = False
    held_out: float = Field(0.02, ge=0, lt=0.5)
    eval_every: int = Field(500, ge=1)
    eval_characters: int = Field(20_000, ge=1)
    prompts: list[str] = Field(default=[""])
    sample_tokens: int = Field(64, ge=1)
    save_every: int = Field(100, ge=1)

    @model_validator(mode="after")
    def _phases_fit(self) -> TrainingSettings:
        if self.phases and "corpus" in self.model_fields_set:
            raise ValueError("phases have a corpus each, so leave out the one beside them")
        if self.phases and not math.isclose(sum(p.share for p in self.phases), 1, abs_tol=1e-6):
            raise ValueError("the shares of the phases must add up to 1")
        return self

    @property
    def mixtures(self) -> list[PhaseSettings]:
        """The phases, one where none are named."""
        return self.phases or [PhaseSettings(share=1, corpus=self.corpus)]

    @property
    def sources(self) -> list[str]:
        """The names of all sources, in the order in which they appear."""
        return list(dict.fromkeys(name for phase in self.mixtures for name in phase.corpus))

    def rate(self, step: int, total: int) -> float:
        """Return the learning rate of a step."""
        if self.schedule == "cosine":
            return self.learning_rate * cosine(step, total, self.warmup, self.floor)
        return self.learning_rate * warmup_stable_decay(step, total, self.warmup, self.decay)


class ShapeSettings(Settings):
    """The shape of a decoder.

    Attributes:
        width: of the residual stream; heads divide it into even parts.
        layers: of the decoder.
        heads: of attention.
        mlp: width of the MLP.
    """

    width: int = Field(ge=2)
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    mlp: int = Field(ge=1)

    @model_validator(mode="after")
    def _divides(self) -> ShapeSettings:
        if self.width % (2 * self.heads):
            raise ValueError("heads must divide width into parts of even width")
        return self


class PretrainSettings(TrainingSettings):
    """Settings of the stage `pretrain`.

    Attributes:
        model: a preset of `rlenv.models.presets`, or a shape: `{width, layers, heads, mlp}`.
        steps: optimizer steps.
        flops: a compute budget in place of both: it decides how large a model is trained on how
            much text. `rlenv plan` says what it comes to.
        law: the scaling law that shares out the budget, see `scaling.LAWS`.
    """

    model: ShapeSettings | str = "nano"
    steps: int | None = Field(None, ge=1)
    flops: float | None = Field(None, gt=0)
    law: LawName = "epoch"

    @property
    def shape(self) -> Preset:
        """The model's shape, where no budget decides on it."""
        if isinstance(self.model, str):
            return preset(self.model)
        return Preset(**self.model.model_dump())

    @model_validator(mode="after")
    def _one_budget(self) -> PretrainSettings:
        if (self.steps is None) == (self.flops is None):
            raise ValueError("give either steps or flops")
        if self.flops is not None and "model" in self.model_fields_set:
            raise ValueError("flops decides on the model; leave model out, or give it with steps")
        return self

    @property
    def optimum(self) -> Optimum | None:
        """What the compute budget comes to, if there is one."""
        return None if self.flops is None else LAWS[self.law].optimum(self.flops)

    @property
    def total_steps(self) -> int:
        """How many optimizer steps there are."""
        if self.optimum is not None:
            return max(1, round(self.optimum.tokens / (self.batch_size * self.length)))
        assert self.steps is not None
        return self.steps
