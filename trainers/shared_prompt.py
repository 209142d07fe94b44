"""The forward pass of a group with its prompt computed once.

The rows of a group differ only after their prompt, so they are laid out in one sequence, prompt
first and then every row's own tokens, under an attention mask that lets a row see the prompt and
itself. The logprobs are those of the rows one by one; with prompts longer than replies most of
the work is saved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainers.batch import Batch, _of_chosen, token_logprobs

_LONGEST = 1024  # the mask grows with the square of the sequence


@dataclass(frozen=True)
class Layout:
    """Where the tokens of a batch lie in the shared sequences.

    Attributes:
        input_ids: (G, S), one sequence a prompt.
        positions: (G, S), of each token in its own row.
        owner: (G, S), the row a token belongs to, -1 in a prompt, -2 in padding.
        source: (N, 2), the sequence and place whose logits predict a token.
        target: (N, 2), the row and column of that token in the batch.
    """

    input_ids: Tensor
    positions: Tensor
    owner: Tensor
    source: Tensor
    target: Tensor


def group_logprobs(model: Any, batch: Batch, temperature: float) -> tuple[Tensor, Tensor]:
    """Return what `token_logprobs` returns, by way of shared prompts where that saves work.

    Args:
        model: a causal LM that takes a (G, 1, S, S) attention mask and position ids.
        batch: B rows of T tokens.
        temperature: the tokens were sampled at.
    """
    layout = arrange(batch)
    sequences, length = layout.input_ids.shape
    if length > _LONGEST or sequences * length > 0.8 * batch.input_ids.numel():
        return token_logprobs(model, batch, temperature)
    device = batch.input_ids.device
    owner = layout.owner.to(device)
    order = torch.arange(length, device=device)
    sees = (owner[:, None, :] == -1) | (owner[:, None, :] == owner[:, :, None])  # (G, S, S)
    sees &= order[None, :, None] >= order[None, None, :]
    first = int(layout.source[:, 1].min())
    logits = model(
        input_ids=layout.input_ids.to(device),
        position_ids=layout.positions.to(device),
        attention_mask=sees[:, None],
        use_cache=False,
        logits_to_keep=length - first,
    ).logits  # (G, S - first, V)
    sequence, place = layout.source.to(device).unbind(1)
    row, column = layout.target.to(device).unbind(1)
    tokens = batch.input_ids[row, column]
    chosen, entropy = _of_chosen(logits[sequence, place - first], tokens, temperature)
    blank = torch.zeros_like(batch.mask)
    return blank.index_put((row, column), chosen), blank.index_put((row, column), entropy)


def arrange(batch: Batch) -> Layout:
    """Lay the rows of a batch out behind their shared prompts."""
    ids, mask = batch.input_ids.tolist(), batch.mask.int().tolist()
    rows_of: dict[int, list[int]] = {}
    for row, (prompt, _) in enumerate(batch.prompts.tolist()):
        rows_of.setdefault(prompt, []).append(row)
    tokens: list[list[int]] = []
    positions: list[list[int]] = []
    owner: list[list[int]] = []
    source: list[tuple[int, int]] = []
    target: list[tuple[int, int]] = []
    for sequence, rows in enumerate(rows_of.values()):
        start = int(batch.prompts[rows[0], 1])
        line, places, owners = ids[rows[0]][:start], list(range(start)), [-1] * start
        for row in rows:
            end = len(mask[row]) - mask[row][::-1].index(1)  # nothing after it is trained on
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
    longest = max(map(len, tokens))

    def padded(lines: list[list[int]], fill: int) -> Tensor:
        return torch.tensor([line + [fill] * (longest - len(line)) for line in lines])

    return Layout(
        padded(tokens, 0),
        padded(positions, 0),
        padded(owner, -2),
        torch.tensor(source),
        torch.tensor(target),
    )
