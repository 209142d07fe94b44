"""Attention while decoding: to a prompt that a group shares and to columns of one's own.

The softmax over both is made of a softmax over each: with l the log of the sum of exponentials
over the prompt, the prompt as a whole is one more column of score l beside a row's own columns,
and its weight scales what the prompt alone would have given (Milakov and Gimelshein 2018; Juravsky
et al. 2024 use it for shared prompts).

Tokens go through the model in three ways: as prompts, as the news of a turn, and one by one. They
differ in what attention sees and in where keys and values are put; each is a class with an `attend`
for `Decoder.forward`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from rlenv.engines.native.cache import Own, PromptGroups, Segment
from rlenv.engines.native.model import Decoder

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
    q: Tensor, keys: Tensor, values: Tensor, groups: PromptGroups, scale: float, mask: Tensor | None
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
    out: Tensor = given.reshape(rows * kv_heads, m, d) * share
    for weight, (_, values) in zip(weights, parts, strict=True):
        out.baddbmm_(weight, values)
    return out.view(rows, kv_heads, m, d)


@dataclass
class ReadPrompts:
    """Prompts of one length, or padded to it on the right, where no token of theirs sees it.

    Attributes:
        decoder: the model.
        kv: (layers, 2, rows, kv_heads, P, D), which the prompts' keys and values are put into.
        rows: (R,) which of its rows these prompts are.
        longest: tokens in each.
    """

    decoder: Decoder
    kv: Tensor
    rows: Tensor
    longest: int

    def attend(self, number: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `Attend`."""
        layer = self.decoder.layers[number]
        q, k, v = (x.unflatten(0, (-1, self.longest)).transpose(1, 2) for x in (q, k, v))
        self.kv[number, 0][self.rows, :, : self.longest] = k
        self.kv[number, 1][self.rows, :, : self.longest] = v
        mask = None
        if layer.window is not None and layer.window < self.longest:
            columns = torch.arange(self.longest, device=q.device)
            back = columns[:, None] - columns
            mask = (back >= 0) & (back < layer.window)
        mixed = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            is_causal=mask is None,
            enable_gqa=self.decoder.heads != self.decoder.kv_heads,
            scale=layer.scale,
        )
        return mixed.transpose(1, 2).flatten(2).flatten(0, 1)


@dataclass
class Prompt:
    """The prompts that rows share, as the rows see them.

    Attributes:
        segment: one row a prompt.
        lengths: (prompts,) tokens in each, on the left of the segment.
        groups: which rows share which.
    """

    segment: Segment
    lengths: Tensor
    groups: PromptGroups
    _padding: Tensor | None = field(init=False)

    def __post_init__(self) -> None:
        columns = torch.arange(self.segment.columns, device=self.lengths.device)
        padding = columns >= self.lengths[:, None]
        self._padding = (
            additive(padding[:, None, None, None, None]) if bool(padding.any()) else None
        )

    def mask(self, positions: Tensor, window: int | None) -> Tensor | None:
        """Return what to add to the scores of a layer.

        Args:
            positions: (B, S) of the queries.
            window: of the layer.

        Returns:
            (prompts, 1, size, S, 1, P), some of these 1, or None for nothing.
        """
        if window is None or int(positions.max()) < window:
            return self._padding
        columns = torch.arange(self.segment.columns, device=positions.device)
        far = positions[:, :, None] - columns >= window  # (B, S, P)
        if self.groups.slots is not None:
            far = far.index_select(0, self.groups.slots)
        far = far.unflatten(0, (self.groups.count, self.groups.size))[:, None, :, :, None]
        return additive(far) if self._padding is None else additive(far) + self._padding

    def attend(
        self, number: int, q: Tensor, scale: float, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """See `attend_prompt`."""
        keys, values = self.segment.keys[number], self.segment.values[number]
        return attend_prompt(q, keys, values, self.groups, scale, mask)


class ReadTurn:
    """What rows read between two replies, padded on the left so that all end together.

    Args:
        decoder: the model.
        prompt: of these rows.
        history: (layers, 2, B, kv_heads, W, D), their own columns; the last S are (to be) new.
        start: (B,) where a row's own columns start.
        new: (B,) how many of a row's columns are new; S is the most.
        positions: (B, S) of the new tokens.
    """

    def __init__(
        self,
        decoder: Decoder,
        prompt: Prompt,
        history: Tensor,
        start: Tensor,
        new: Tensor,
        positions: Tensor,
    ) -> None:
        self.decoder, self.prompt, self.history = decoder, prompt, history
        self.rows, self.span = positions.shape
        width = history.shape[4]
        columns = torch.arange(width, device=start.device)
        at = columns[-self.span :]
        # padding stands over columns that an earlier turn wrote
        self.valid = (at >= width - new[:, None])[:, None, :, None]  # (B, 1, S, 1)
        unseen = (columns < start[:, None, None]) | (columns > at[:, None])  # (B, S, W)
        self.masks = {}
        for window in {layer.window for layer in decoder.layers}:
            far = unseen if window is None else unseen | (at[:, None] - columns >= window)
            own = additive(far[:, None, :, None])
            self.masks[window] = own, prompt.mask(positions, window)

    def attend(self, number: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `Attend`."""
        layer = self.decoder.layers[number]
        for held, fresh in zip(self.history[number], (k, v), strict=True):
            written = held[:, :, -self.span :]
            lined = fresh.unflatten(0, (self.rows, self.span)).transpose(1, 2)
            written.copy_(torch.where(self.valid, lined, written))
        # (B, S, H_kv, H / H_kv, D) to (B, H_kv, S * H / H_kv, D)
        shape = (self.rows, self.span, self.decoder.kv_heads, -1, self.decoder.head_dim)
        q = q.view(shape).transpose(1, 2).flatten(2, 3)
        keys, values = self.history[number].flatten(1, 2)
        own_mask, prompt_mask = self.masks[layer.window]
        given = self.prompt.attend(number, q, layer.scale, prompt_mask)
        part = keys.transpose(1, 2), values
        own = attend_own(q, given, [part], layer.scale, own_mask, None, None)
        mixed: Tensor = own.unflatten(2, (self.span, -1)).transpose(1, 2)
        return mixed.reshape(self.rows * self.span, -1)


class ReadToken:
    """One token a row, at the newest column.

    Args:
        decoder: the model.
        prompt: of the rows.
        own: the rows' own columns, to which one was added.
        column: where it stands in the last segment.
        padding: what to add to the scores of the first segment, or None.
        positions: (B,) of the tokens.
    """

    def __init__(
        self,
        decoder: Decoder,
        prompt: Prompt,
        own: Own,
        column: int,
        padding: Tensor | None,
        positions: Tensor,
    ) -> None:
        self.decoder, self.prompt, self.own = decoder, prompt, own
        self.column, self.padding = column, padding
        columns = torch.arange(own.segments[-1].columns, device=decoder.device)
        self.tail = additive(columns > column).to(decoder.dtype)  # hides what is not written yet
        self.masks = {
            window: prompt.mask(positions[:, None], window)
            for window in {layer.window for layer in decoder.layers}
        }

    def attend(self, number: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `Attend`."""
        layer, own = self.decoder.layers[number], self.own
        keys, values = own.segments[-1].writable[number]
        keys.select(2, self.column).copy_(k)
        values.select(2, self.column).copy_(v)
        q = q.reshape(len(q), self.decoder.kv_heads, -1, self.decoder.head_dim)
        given = self.prompt.attend(number, q, layer.scale, self.masks[layer.window])
        parts = [(segment.keys[number], segment.values[number]) for segment in own.segments]
        beyond = 0 if layer.window is None else max(0, own.length - layer.window)
        hidden = slice(0, beyond) if beyond else None
        mixed = attend_own(q, given, parts, layer.scale, self.padding, hidden, self.tail)
        return mixed.view(len(q), -1)
