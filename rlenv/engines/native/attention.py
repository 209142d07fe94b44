"""Attention to a prompt that a group shares and to columns of one's own, in two parts.

The softmax over both is made of a softmax over each: with l the log of the sum of exponentials
over the prompt, the prompt as a whole is one more column of score l beside a row's own columns,
and its weight scales what the prompt alone would have given (Milakov and Gimelshein 2018; Juravsky
et al. 2024 use it for shared prompts).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rlenv.engines.native.cache import Groups

_HIDDEN = -1e30  # stands for minus infinity, but leaves a softmax over nothing finite


def additive(hidden: Tensor) -> Tensor:
    """Return what to add to scores so that they count for nothing where `hidden` is true."""
    return torch.zeros(hidden.shape, device=hidden.device).masked_fill_(hidden, _HIDDEN)


def scores(q: Tensor, keys: Tensor, scale: float, mask: Tensor | None = None) -> Tensor:
    """Return scaled products (B, M, T) of q (B, M, D) and keys (B, D, T), in float32.

    A mask, which is broadcast, is added on the way, at the cost of a copy.
    """
    if mask is None:
        unread = q.new_empty(())  # with beta=0 it only gives the shape
        return torch.baddbmm(unread, q, keys, beta=0, alpha=scale).float()
    return torch.baddbmm(mask, q, keys, alpha=scale).float()


def attend_prompt(
    q: Tensor, keys: Tensor, values: Tensor, groups: Groups, scale: float, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Attend to the prompt of a row's group, all rows of a group in one product.

    Args:
        q: (B, H_kv, M, D), where M counts the queries of a row that share keys.
        keys: (groups * H_kv, D, P).
        values: (groups * H_kv, P, D).
        groups: of the rows.
        scale: of the scores.
        mask: added to the scores, broadcast to (groups, H_kv, size, S, M / S, P); its fourth
            dimension is S.

    Returns:
        What the prompt alone gives (B, H_kv, M, D), and the log of the sum of the exponentials of
        the scores (B, H_kv, M, 1) in float32.
    """
    rows, kv_heads, m, d = q.shape
    count, size = groups.count, groups.size
    lined = q.reshape(rows, -1)
    if groups.slots is not None:
        lined = lined.index_select(0, groups.slots)
    lined = lined.view(count, size, kv_heads, m, d).transpose(1, 2)
    s = scores(lined.reshape(count * kv_heads, size * m, d), keys, scale)
    if mask is not None:
        s.view(count, kv_heads, size, mask.shape[3], -1, s.shape[-1]).add_(mask)
    weights = s.softmax(-1)
    # the largest weight is exp(its score - l), and at least 1 / P
    l = s.amax(-1, keepdim=True) - weights.amax(-1, keepdim=True).log_()  # noqa: E741
    out = torch.bmm(weights.to(values.dtype), values)

    def back(x: Tensor) -> Tensor:
        x = x.view(count, kv_heads, size, -1).transpose(1, 2).reshape(count * size, -1)
        x = x if groups.slots is None else x.index_select(0, groups.places)
        return x.view(rows, kv_heads, m, -1)

    return back(out), back(l)


def attend_own(
    q: Tensor,
    prompt: tuple[Tensor, Tensor],
    parts: Sequence[tuple[Tensor, Tensor]],
    scale: float,
    mask: Tensor | None,
    hidden: slice | None,
    tail: Tensor | None,
) -> Tensor:
    """Attend to a row's own columns, and add in what the prompt gave.

    Args:
        q: (B, H_kv, M, D).
        prompt: as returned by `attend_prompt`.
        parts: for each segment, keys (B * H_kv, D, columns) and values (B * H_kv, columns, D).
        scale: of the scores.
        mask: added to the scores of the first part, which it is broadcast to as
            (B, H_kv, S, M / S, columns); its third dimension is S.
        hidden: of all columns, those that no row sees.
        tail: (columns,) added to the scores of the last part.

    Returns:
        (B, H_kv, M, D).
    """
    rows, kv_heads, m, d = q.shape
    flat = q.reshape(rows * kv_heads, m, d)
    given, l = prompt  # noqa: E741
    pieces = [l.reshape(rows * kv_heads, m, 1)]
    masks = [*[None] * (len(parts) - 1), tail]
    pieces += [scores(flat, keys, scale, m) for (keys, _), m in zip(parts, masks, strict=True)]
    if mask is not None:
        pieces[1].view(rows, kv_heads, mask.shape[2], -1, pieces[1].shape[-1]).add_(mask)
    s = torch.cat(pieces, -1)
    if hidden is not None:
        s[..., 1:][..., hidden] = _HIDDEN
    share, *weights = s.softmax(-1).to(q.dtype).split([p.shape[-1] for p in pieces], -1)
    out = given.reshape(rows * kv_heads, m, d) * share
    for weight, (_, values) in zip(weights, parts, strict=True):
        out.baddbmm_(weight, values)
    return out.view(rows, kv_heads, m, d)
