"""Keys and values of many conversations: those of a shared prompt once, those of a row its own.

On a CPU most of the time of a decode step goes into reading the cache, at the memory's bandwidth
if what is read lies in one piece and at a fifth of it if not. So a row's own columns lie in
segments that are read whole: one with all earlier turns, and behind it blocks that are merged
into larger ones as they fill up, like the digits of a counter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_BLOCK = 16  # columns that a new block has room for
_MERGED = 4  # as many blocks of one size become one


@dataclass(frozen=True)
class Shape:
    """What a cache is made of: layers, kv_heads and head_dim of the model, dtype and device."""

    layers: int
    kv_heads: int
    head_dim: int
    dtype: torch.dtype
    device: torch.device

    def bytes(self, tokens: int) -> int:
        """Return what the keys and values of so many tokens take."""
        return 2 * self.layers * self.kv_heads * self.head_dim * self.dtype.itemsize * tokens

    def empty(self, rows: int, columns: int) -> Tensor:
        """Return zeros (layers, 2, rows, kv_heads, columns, head_dim), keys before values."""
        shape = (self.layers, 2, rows, self.kv_heads, columns, self.head_dim)
        return torch.zeros(shape, dtype=self.dtype, device=self.device)


class Segment:
    """Keys and values of consecutive columns.

    Args:
        kv: (layers, 2, rows, kv_heads, columns, head_dim).
        live: only so many rows are read.

    Attributes:
        keys, values: for each layer, the live rows as (live * kv_heads, D, columns) and
            (live * kv_heads, columns, D), views of `kv`.
        writable: for each layer, the live rows' keys and values (live, kv_heads, columns, D).
    """

    def __init__(self, kv: Tensor, live: int) -> None:
        self.kv = kv
        self.look(live)

    @property
    def rows(self) -> int:
        """How many rows there are, live or not."""
        return self.kv.shape[2]

    @property
    def columns(self) -> int:
        """How many columns there is room for."""
        return self.kv.shape[4]

    def look(self, live: int) -> None:
        """Read the first `live` rows from now on."""
        self.writable = [(layer[0, :live], layer[1, :live]) for layer in self.kv]
        self.keys = [keys.flatten(0, 1).transpose(1, 2) for keys, _ in self.writable]
        self.values = [values.flatten(0, 1) for _, values in self.writable]

    def swap(self, some: Tensor, others: Tensor) -> None:
        """Exchange rows, in place."""
        kept = self.kv[:, :, some]
        self.kv[:, :, some] = self.kv[:, :, others]
        self.kv[:, :, others] = kept


class Own:
    """The columns that rows don't share, in segments; every row ends at the newest column.

    Args:
        shape: of the model.
        live: how many rows.
        keep: rows that leave are kept, for a later turn.
        history: (layers, 2, live, kv_heads, columns, head_dim), the columns there are already.
    """

    def __init__(
        self, shape: Shape, live: int, *, keep: bool, history: Tensor | None = None
    ) -> None:
        self.shape, self.live, self.keep = shape, live, keep
        self.segments = [] if history is None else [Segment(history, live)]
        self.length = 0 if history is None else history.shape[4]  # columns written
        self._room = 0  # columns left in the last segment

    def next(self) -> int:
        """Make room for a column; return where in the last segment it is to be written."""
        if self._room == 0:
            self._merge()
            self.segments.append(Segment(self.shape.empty(self.live, _BLOCK), self.live))
            self._room = _BLOCK
        self._room -= 1
        self.length += 1
        return _BLOCK - 1 - self._room

    def _merge(self) -> None:
        while len(last := self.segments[-_MERGED:]) == _MERGED:
            width = last[0].columns
            if any(segment.columns != width for segment in last):
                return
            rows = last[0].rows if self.keep else self.live
            merged = self.shape.empty(rows, _MERGED * width)
            for n, segment in enumerate(last):
                held = min(rows, segment.rows)  # rows that left before have nothing further on
                merged[:, :, :held, :, n * width : (n + 1) * width] = segment.kv[:, :, :held]
            self.segments[-_MERGED:] = [Segment(merged, self.live)]

    def shrink(self, live: int, some: Tensor, others: Tensor) -> None:
        """Swap rows, then read only the first `live`."""
        self.live = live
        for segment in self.segments:
            segment.swap(some, others)
            segment.look(live)

    def copy(self, row: int, start: int, into: Tensor) -> None:
        """Copy a row's columns, from `start` as many as there is room for.

        Args:
            row: which.
            start: its first column.
            into: (layers, 2, kv_heads, columns, head_dim).
        """
        end, at = start + into.shape[3], 0
        for segment in self.segments:
            first, last = max(start - at, 0), min(end - at, segment.columns)
            if first < last:
                to = at + first - start
                into[:, :, :, to : to + last - first] = segment.kv[:, :, row, :, first:last]
            at += segment.columns

    @property
    def bytes(self) -> int:
        """What is held."""
        return sum(segment.kv.nbytes for segment in self.segments)


@dataclass(frozen=True)
class PromptGroups:
    """Where the rows of each group are, so that they attend to their prompt together.

    Attributes:
        count: how many groups.
        size: of the largest one.
        slots: (count * size,) the row in each place of each group, any where there is none; None
            if the rows are in order and all groups alike.
        places: (rows,) where each row is among the slots.
    """

    count: int
    size: int
    slots: Tensor | None
    places: Tensor

    @classmethod
    def of(cls, group: np.ndarray, count: int, device: torch.device) -> PromptGroups:
        """Arrange rows, given the group of each."""
        sizes = np.bincount(group, minlength=count)
        size = int(sizes.max())
        order = np.argsort(group, kind="stable")
        places = np.empty(len(group), dtype=np.int64)
        firsts = np.cumsum(sizes) - sizes
        places[order] = group[order] * size + np.arange(len(group)) - firsts[group[order]]
        slots = np.zeros(count * size, dtype=np.int64)
        slots[places] = np.arange(len(group))
        in_order = len(slots) == len(group) and bool((places == np.arange(len(group))).all())
        return cls(
            count,
            size,
            None if in_order else torch.from_numpy(slots).to(device),
            torch.from_numpy(places).to(device),
        )


def swaps(running: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows to exchange so that those that run come first, as few as possible."""
    left = int(running.sum())
    return np.flatnonzero(~running[:left]), left + np.flatnonzero(running[left:])


def exchange(array: np.ndarray, some: np.ndarray, others: np.ndarray) -> None:
    """Exchange entries of an array, in place."""
    array[some], array[others] = array[others], array[some]
