"""Stage `extend`: a trained model learns to read longer texts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field

from rlenv.common.errors import UserError
from rlenv.data.pipeline import corpus
from rlenv.models import checkpoint
from rlenv.run.config import EnvSettings
from rlenv.run.stage import Artifact, Context, Stage
from rlenv.trainers.pretraining.documents import Documents
from rlenv.trainers.pretraining.forward import row_loss
from rlenv.trainers.pretraining.measure import all_rows
from rlenv.trainers.pretraining.rows import NO_LABEL, PackedRows
from rlenv.trainers.pretraining.settings import TrainingSettings
from rlenv.trainers.pretraining.training import read_texts, short_names, train

Method = Literal["base", "yarn"]

_MEASURED = 64  # rows of the new length


class ExtendSettings(TrainingSettings):
    """Settings of the stage: those of training, at the new length.

    Attributes:
        length: the new length, in tokens.
        first: the length that the model was trained on; what its configuration says if left out.
        method: how positions are stretched, see `extended`.
        base: the new rotary base for `method: base`.
        steps: optimizer steps.
    """

    length: int = Field(512, ge=2)
    first: int | None = Field(None, ge=2)
    method: Method = "yarn"
    base: float | None = Field(None, gt=1)
    steps: int = Field(ge=1)
    learning_rate: float = Field(3e-4, gt=0)
    objective: Literal["causal"] = "causal"


class ExtendStage(Stage[ExtendSettings]):
    """Stretch a model's positions and train it on rows of the new length.

    Perplexity by place in the text, within and beyond the first length, is logged at the end,
    beside that of the model before the stage.
    """

    needs: ClassVar[Artifact] = "model"
    gives: ClassVar[Artifact] = "model"
    Settings = ExtendSettings

    def check(self, env: EnvSettings | None, source: str | None) -> None:
        """See `Stage.check`."""
        for name in self.settings.sources:
            corpus.check_source(name, env)

    def plan(self) -> tuple[str, str]:
        """See `Stage.plan`."""
        s = self.settings
        tokens = s.steps * s.batch_size * s.length
        sources = ", ".join(short_names(s.sources).values())
        return f"to {s.length:,} tokens by {s.method}, on {sources}", f"{tokens:,} tokens"

    def steps(self) -> int:
        """See `Stage.steps`."""
        return self.settings.steps

    def run(self, context: Context) -> None:
        """See `Stage.run`."""
        s = self.settings
        assert context.source is not None
        before, tokenizer = checkpoint.load(context.source, device=context.device)
        first = s.first or int(before.config.max_position_embeddings)
        model = extended(before, s.length, first=first, method=s.method, base=s.base)
        tokenizer.model_max_length = s.length
        texts = read_texts(s, context, tokenizer)
        rows = long_rows(texts.held_out.texts, tokenizer, s.length)

        def compare() -> dict[str, float]:
            old, new = (perplexity_by_place(m, rows, first) for m in (before, model))
            return {
                **{f"held_out/perplexity/{place}": value for place, value in new.items()},
                **{f"held_out/perplexity_before/{place}": value for place, value in old.items()},
            }

        train(context, s, s.steps, model, tokenizer, texts, at_the_end=compare)
        checkpoint.save(model, tokenizer, context.out)


def long_rows(texts: Mapping[str, Sequence[str]], tokenizer: Any, length: int) -> PackedRows | None:
    """Return rows (B, length) each of which is one piece of a text, or None where none is so long.

    Args:
        texts: of each source.
        tokenizer: the model's.
        length: tokens a row.
    """
    found = []
    for some in texts.values():
        if some:
            rows = all_rows(Documents.of(some, tokenizer), length)
            found.append(rows.take(rows.plain()))
    kept = [rows for rows in found if len(rows)]
    if not kept:
        return None
    return PackedRows(
        torch.cat([rows.input_ids for rows in kept]),
        torch.cat([rows.labels for rows in kept]),
        torch.cat([rows.positions for rows in kept]),
        torch.cat([rows.pieces for rows in kept]),
    ).take(slice(_MEASURED))


@torch.no_grad()
def perplexity_by_place(model: Any, rows: PackedRows | None, first: int) -> dict[str, float]:
    """Return the perplexity of tokens by their place in the text.

    Args:
        model: a causal LM.
        rows: (B, T), each one piece.
        first: what is before this place counts together; then come places up to twice as far, up
            to four times, and so on.

    Returns:
        "1-128", "129-256", ... to perplexity; nothing if there are no rows.
    """
    if rows is None:
        return {}
    rows = rows.to(str(next(model.parameters()).device))
    length = rows.labels.shape[1]
    borders = [0, first]
    while borders[-1] < length:
        borders.append(min(2 * borders[-1], length))
    found = {}
    for start, stop in itertools.pairwise(borders):
        here = (rows.positions >= start) & (rows.positions < stop)
        asked = replace(rows, labels=rows.labels.masked_fill(~here, NO_LABEL))
        nats = sum(float(row_loss(model, some)) for some in asked.split(8))
        found[f"{start + 1}-{stop}"] = math.exp(nats / asked.asked)
    return found


def extended(
    model: Any, length: int, *, first: int, method: Method, base: float | None = None
) -> Any:
    """Return a model of the same weights that takes longer texts.

    Args:
        model: a causal LM of transformers with rotary positions.
        length: that it is to take, in tokens.
        first: that it was trained on.
        method: `base` turns slower at all frequencies but the highest, by a larger base
            (Xiong et al. 2023, section 4.1); `yarn` slows down only the frequencies that have not
            come round within the first length, and sharpens attention (Peng et al. 2023,
            section 3).
        base: the new base of `base`; by default so much larger that the lowest frequency slows
            down by length / first.

    Raises:
        UserError: it has no such positions, or was extended before, or nothing is to be done.
    """
    config = model.config
    if length <= first:
        raise UserError(f"the model takes {first} tokens already; give a length beyond that")
    rope = dict(getattr(config, "rope_parameters", None) or {})
    if rope.get("rope_type") != "default":
        raise UserError(
            f"the positions of this model are {rope.get('rope_type', 'not rotary')}; only plain "
            "rotary ones can be extended"
        )
    factor = length / first
    if method == "yarn":
        rope |= {
            "rope_type": "yarn",
            "factor": factor,
            "original_max_position_embeddings": first,
        }
    else:
        width = getattr(config, "head_dim", None)
        width = width or config.hidden_size // config.num_attention_heads
        rope["rope_theta"] = base or rope["rope_theta"] * factor ** (width / (width - 2))
    made = type(config).from_dict(
        {**config.to_dict(), "rope_parameters": rope, "max_position_embeddings": length}
    )
    longer = type(model)(made).to(next(model.parameters()).device)
    longer.load_state_dict(model.state_dict())
    return longer
