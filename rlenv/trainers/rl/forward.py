"""The forward pass over a batch: what the model says of the tokens that were sampled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rlenv.trainers.rl.batch import Batch
from rlenv.trainers.rl.shared_prompt import Layout, pays, shared, unshared


@dataclass(frozen=True)
class Scores:
    """What a model says of the sampled tokens of a batch: each (B, T), 0 at all others.

    Attributes:
        logprobs: natural log of each token's probability.
        entropy: of the distribution it was drawn from, in nats.
        values: of the state it was drawn in, if the model has a value head.
    """

    logprobs: Tensor
    entropy: Tensor
    values: Tensor | None = None


def score(
    model: Any,
    batch: Batch,
    temperature: float,
    *,
    width: int | None = None,
    entropy_gradient: bool = False,
) -> Scores:
    """Run a causal LM over a batch.

    Args:
        model: a causal LM. Rows are padded on the right, so it needs no attention mask.
        batch: B rows of T tokens, on the model's device.
        temperature: the tokens were sampled at.
        width: of a model that `shared_prompt.can_share` accepts: the prompt of a group is then
            computed once where that saves work.
        entropy_gradient: the entropy is part of the loss.
    """
    layout = _layout(batch, width)
    output = _run(model, layout, batch)
    sequence, place = layout.source.to(batch.mask.device).unbind(1)
    row, column = layout.target.to(batch.mask.device).unbind(1)
    logits = output.logits[sequence, place - layout.first]  # (N, V), N sampled tokens
    logprobs = (logits.float() / temperature).log_softmax(-1)
    with torch.set_grad_enabled(entropy_gradient and torch.is_grad_enabled()):
        entropy = -(logprobs.exp() * logprobs).sum(-1)
    chosen = logprobs.gather(-1, batch.input_ids[row, column][:, None])[:, 0]
    values = getattr(output, "state_values", None)
    blank = torch.zeros_like(batch.mask)
    return Scores(
        blank.index_put((row, column), chosen),
        blank.index_put((row, column), entropy),
        None if values is None else blank.index_put((row, column), values[sequence, place]),
    )


def score_values(critic: Any, batch: Batch, *, width: int | None = None) -> Tensor:
    """Run a critic over a batch; return the values of the states (B, T), 0 off the mask."""
    layout = _layout(batch, width)
    sequence, place = layout.source.to(batch.mask.device).unbind(1)
    row, column = layout.target.to(batch.mask.device).unbind(1)
    values = _run(critic, layout, batch).state_values
    return torch.zeros_like(batch.mask).index_put((row, column), values[sequence, place])


def _layout(batch: Batch, width: int | None) -> Layout:
    if width is not None:
        layout = shared(batch)
        if pays(layout, batch, width):
            return layout
    return unshared(batch)


def _run(model: Any, layout: Layout, batch: Batch) -> Any:
    inputs: dict[str, Any] = {"input_ids": layout.input_ids.to(batch.mask.device)}
    if layout.owner is not None:
        inputs["position_ids"] = layout.positions.to(batch.mask.device)
        inputs["attention_mask"] = layout.attention_mask(batch.mask.device)
    kept = layout.input_ids.shape[1] - layout.first
    return model(**inputs, use_cache=False, logits_to_keep=kept)
