"""The forward pass over a batch: what a model says of the tokens that were sampled.

The rows of a group differ only after their prompt, so they can be laid out in one sequence, prompt
first and then every row's own tokens, under an attention mask that lets a row see the prompt and
itself. The logprobs are those of the rows one by one; with prompts longer than replies most of
the work is saved.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rlenv.trainers.rl.batch import Batch
from rlenv.trainers.rl.shapes import PerToken

_LONGEST = 512  # attention's cost and the mask grow with the square of the sequence
_FAMILIES = ("llama", "qwen2", "qwen3")


@dataclass(frozen=True)
class Scores:
    """What a model says of the sampled tokens of a batch: each (B, T), 0 at all others.

    Attributes:
        logprobs: natural log of each token's probability.
        entropy: of the distribution it was drawn from, in nats.
        values: of the state it was drawn in, if the model has a value head.
    """

    logprobs: PerToken
    entropy: PerToken
    values: PerToken | None = None


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
        width: of a model that `can_share` accepts: the prompt of a group is then
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


def score_values(critic: Any, batch: Batch, *, width: int | None = None) -> PerToken:
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


@dataclass(frozen=True)
class Layout:
    """Where the tokens of a batch lie in the sequences of a forward pass.

    Attributes:
        input_ids: (G, S), the sequences.
        source: (N, 2), the sequence and place whose logits predict a sampled token.
        target: (N, 2), the row and column of that token in the batch.
        positions: (G, S), of each token in its own row.
        owner: (G, S), the row a token belongs to, -1 in a prompt, -2 in padding; None where every
            sequence is one row.
    """

    input_ids: Tensor
    source: Tensor
    target: Tensor
    positions: Tensor
    owner: Tensor | None = None

    @property
    def first(self) -> int:
        """The first place whose logits are needed."""
        return int(self.source[:, 1].min())

    def attention_mask(self, device: Any) -> Tensor:
        """Return what each token sees, (G, 1, S, S) of bool: the prompt and its own row so far."""
        assert self.owner is not None
        owner = self.owner.to(device)
        order = torch.arange(owner.shape[1], device=device)
        sees = (owner[:, None, :] == -1) | (owner[:, None, :] == owner[:, :, None])
        return (sees & (order[:, None] >= order))[:, None]


def can_share(config: Any) -> bool:
    """Whether a model takes such a mask: plain attention over everything, in each of its layers."""
    windowed = getattr(config, "use_sliding_window", False)
    return (
        config.model_type in _FAMILIES
        and not windowed
        and getattr(config, "_attn_implementation", "sdpa") in ("sdpa", "eager")
    )


def pays(layout: Layout, batch: Batch, width: int) -> bool:
    """Whether sharing saves enough to be worth its mask, by the products it takes.

    A layer takes some 24 h^2 of them a token outside attention (h the model's width), and 4 h
    for each token that is looked at: all of a sequence under a mask, half of it under the causal
    one.

    Args:
        layout: with shared prompts.
        batch: what it lays out.
        width: of the model.
    """
    ours = layout.input_ids.numel() * (1 + layout.input_ids.shape[1] / (6 * width))
    theirs = batch.input_ids.numel() * (1 + batch.input_ids.shape[1] / (12 * width))
    return ours <= 0.8 * theirs


def unshared(batch: Batch) -> Layout:
    """Lay the rows of a batch out one by one."""
    target = batch.mask.nonzero()
    source = target - target.new_tensor([0, 1])
    positions = torch.arange(batch.input_ids.shape[1]).expand(batch.input_ids.shape)
    return Layout(batch.input_ids, source, target, positions)


def shared(batch: Batch, longest: int = _LONGEST) -> Layout:
    """Lay the rows of a batch out behind their shared prompts.

    Args:
        batch: the rows.
        longest: a group whose sequence would be longer is cut into several, each with the prompt.
    """
    ids, mask = batch.input_ids.tolist(), batch.mask.int().tolist()
    # nothing after the last sampled token is trained on
    ends = [len(row) - row[::-1].index(1) for row in mask]
    tokens: list[list[int]] = []
    positions: list[list[int]] = []
    owner: list[list[int]] = []
    source: list[tuple[int, int]] = []
    target: list[tuple[int, int]] = []
    for sequence, rows in enumerate(_sequences(batch, ends, longest)):
        start = int(batch.prompts[rows[0], 1])
        line, places, owners = ids[rows[0]][:start], list(range(start)), [-1] * start
        for row in rows:
            end = ends[row]
            offset = len(line) - start
            for column in range(start, end):
                if mask[row][column]:
                    before = start - 1 if column == start else offset + column - 1
                    source.append((sequence, before))
                    target.append((row, column))
            line += ids[row][start:end]
            places += range(start, end)
            owners += [row] * (end - start)
        tokens.append(line)
        positions.append(places)
        owner.append(owners)
    width = max(map(len, tokens))

    def padded(lines: list[list[int]], fill: int) -> Tensor:
        return torch.tensor([line + [fill] * (width - len(line)) for line in lines])

    return Layout(
        padded(tokens, 0),
        torch.tensor(source),
        torch.tensor(target),
        padded(positions, 0),
        padded(owner, -2),
    )


def _sequences(batch: Batch, ends: list[int], longest: int) -> Iterator[list[int]]:
    """Yield the rows that go into each sequence, about as many tokens in all those of a prompt."""
    rows_of: dict[int, list[int]] = {}
    for row, (prompt, _) in enumerate(batch.prompts.tolist()):
        rows_of.setdefault(prompt, []).append(row)
    for rows in rows_of.values():
        start = int(batch.prompts[rows[0], 1])
        own = sum(ends[row] - start for row in rows)
        fair = own / math.ceil(own / max(1, longest - start))
        parts: dict[int, list[int]] = {}
        before = 0
        for row in rows:
            length = ends[row] - start
            parts.setdefault(int((before + length / 2) / fair), []).append(row)  # by its middle
            before += length
        yield from parts.values()
