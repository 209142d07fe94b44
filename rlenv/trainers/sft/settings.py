"""Settings of fine-tuning stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from rlenv.common.settings import Settings, TaskRange
from rlenv.trainers.common.lora import LoRASettings
from rlenv.trainers.common.optimizers import OptimizerName
from rlenv.trainers.common.trl_stage import TRLSettings
from rlenv.trainers.common.validation import EvalSampling

DEMONSTRATIONS = "demonstrations"


class FitSettings(TRLSettings):
    """How a model is fitted to given replies; `TRLSettings` has what TRL's trainers share.

    Attributes:
        packing: put several conversations into each row of `max_length` tokens; none sees another.
        group_by_length: put conversations of about the same length into one step, which pads less;
            for games that end at different turns.
        max_length: the longest conversation in tokens; the model's own limit if left out.
        lora: train low-rank adapters in place of all weights; they are merged at the end.
        gradient_checkpointing: keep less in memory and compute some of it twice.
        optimizer: `adamw`, or `muon` for the matrices inside the layers, see `optimizers.muon`.
        outside_rate: with `muon`, the share of the learning rate that embeddings, the head and
            norms get.
    """

    packing: bool = False
    group_by_length: bool = False
    max_length: int | None = Field(None, ge=8)
    lora: LoRASettings | None = None
    gradient_checkpointing: bool = False
    optimizer: OptimizerName = "adamw"
    outside_rate: float = Field(1.0, gt=0)

    @model_validator(mode="after")
    def _of_the_optimizer(self) -> FitSettings:
        if self.lora is not None and self.optimizer != "adamw":
            raise ValueError("optimizer is adamw with lora: muon is for whole matrices")
        if self.outside_rate != 1 and self.optimizer != "muon":
            raise ValueError("outside_rate is for optimizer: muon; leave it out")
        return self


class DataSettings(Settings):
    """One source of conversations.

    Attributes:
        path: a `.jsonl`, `.json`, `.csv` or `.parquet` file, the id of a data set that `datasets`
            loads, or `demonstrations`: what the environment's expert plays.
        weight: how often each row comes in a pass; 0.5 takes a random half of them.
        form: of `rlenv.data.conversation_formats`; recognised by the columns if left out.
        part: of a data set, such as `train`.
    """

    path: str
    weight: float = Field(1.0, gt=0)
    form: Literal["messages", "sharegpt", "prompt-completion", "alpaca", "self-instruct"] | None = (
        None
    )
    part: str = "train"


def _listed(value: Any) -> Any:
    """A list of one may be given without the brackets."""
    return value if isinstance(value, list) else [value]


def _sources(value: Any) -> Any:
    """A source may be given by its path alone."""
    return [{"path": item} if isinstance(item, str) else item for item in _listed(value)]


class SFTSettings(FitSettings):
    """Settings of the stage.

    Attributes:
        data: where conversations come from.
        demonstrations: how many to draw from the environment's train split.
        task_range: the part of its tasks that they are drawn from, by their content, such as
            `[0, 0.5]`. A later stage may play the rest, of which the policy then knows nothing by
            heart.
        soft_targets: learn from each reply of the environment's expert all that it might have said,
            where the environment's `choices` tells how likely each is; see
            `rlenv.trainers.sft.soft`.
        held_out: share of the conversations of files on which the loss is measured but not trained.
        max_bad: the stage refuses data of which more than this share can't be used.
        text: texts to mix in against forgetting, as in the corpus of pretraining.
        text_share: their share of all tokens.
        chat_template: for a tokenizer that has none, or in place of its own: `chatml`, or the path
            of a Jinja file.
        eval_every: steps between held-out evaluations: the loss on conversations held out, and the
            reward on the validation split of the environment.
        eval_tasks: how many tasks they play.
        max_tokens: of a reply in these evaluations.
        eval_sampling: how they play, by default once each at temperature 1.
        keep_best: leave the weights with the highest held-out reward in place of the last ones.
        stop_at: stop once the held-out reward reaches this; None trains to the end.
    """

    renamed: ClassVar[Mapping[str, str]] = {"part": "task_range"}

    data: Annotated[list[DataSettings], BeforeValidator(_sources)] = Field(
        default=[DEMONSTRATIONS], min_length=1, validate_default=True
    )
    demonstrations: int = Field(10_000, ge=1)
    task_range: TaskRange = (0.0, 1.0)
    soft_targets: bool = False
    held_out: float = Field(0.05, ge=0, lt=1)
    max_bad: float = Field(0.1, ge=0, le=1)
    text: Annotated[list[str], BeforeValidator(_listed)] = Field(default=[])
    text_share: float = Field(0.1, gt=0, lt=1)
    chat_template: str | None = None
    eval_every: int = Field(50, ge=1)
    eval_tasks: int = Field(200, ge=1)
    max_tokens: int = Field(256, ge=1)
    eval_sampling: EvalSampling = EvalSampling()
    keep_best: bool = False
    stop_at: float | None = None

    @model_validator(mode="after")
    def _soft_unpacked(self) -> SFTSettings:
        if self.soft_targets and self.packing:
            raise ValueError("soft_targets and packing can't go together; leave out one of them")
        if self.soft_targets and not self.demonstrates:
            raise ValueError(f"soft_targets are those of {DEMONSTRATIONS}, which data lacks")
        return self

    @property
    def files(self) -> list[DataSettings]:
        """The sources that are not the environment's demonstrations."""
        return [source for source in self.data if source.path != DEMONSTRATIONS]

    @property
    def demonstrates(self) -> bool:
        """Whether the environment's expert is among the sources."""
        return len(self.files) < len(self.data)
