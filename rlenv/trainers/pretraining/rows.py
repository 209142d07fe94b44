"""Rows of packed documents, in which no token sees another document."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

NO_LABEL = -100


@dataclass(frozen=True)
class PackedRows:
    """What a forward pass gets, and what it is asked.

    A row holds pieces of documents one after another. A piece is what stands of one document in
    one row.

    Attributes:
        input_ids: (B, T).
        labels: (B, T) the token asked for at each place, `NO_LABEL` where none is.
        positions: (B, T) place in the piece, from 0.
        pieces: (B, T) number of the piece, counted from 0 in each row.
        causal: whether a token sees only what stands before it in its piece.
        prefix: (B, T) of a causal model, the tokens that the whole of their piece sees; None for
            none.
    """

    input_ids: Tensor
    labels: Tensor
    positions: Tensor
    pieces: Tensor
    causal: bool = True
    prefix: Tensor | None = None

    def __len__(self) -> int:
        return len(self.input_ids)

    @property
    def asked(self) -> int:
        """How many labels there are."""
        return int((self.labels != NO_LABEL).sum())

    def take(self, index: slice | Tensor) -> PackedRows:
        """Return some of the rows."""
        return self._each(lambda values: values[index])

    def to(self, device: str) -> PackedRows:
        """Return the rows on a device."""
        return self._each(lambda values: values.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> PackedRows:
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        changed: dict[str, Any] = {k: change(v) for k, v in values.items() if torch.is_tensor(v)}
        return replace(self, **changed)

    def split(self, size: int) -> Iterator[PackedRows]:
        """Yield the rows, so many at a time."""
        for first in range(0, len(self), size):
            yield self.take(slice(first, first + size))

    def visible(self) -> Tensor:
        """Return which tokens each token sees, (B, 1, T, T)."""
        seen = self.pieces[:, :, None] == self.pieces[:, None, :]
        if self.causal:
            length = self.pieces.shape[1]
            before = torch.ones(length, length, dtype=torch.bool, device=seen.device).tril()
            seen = seen & (before if self.prefix is None else before | self.prefix[:, None, :])
        return seen[:, None]

    def plain(self) -> Tensor:
        """Return which rows are one piece (B,), so that attention needs no mask."""
        if self.prefix is not None:
            return torch.zeros(len(self), dtype=torch.bool, device=self.pieces.device)
        return (self.pieces == 0).all(1)


def next_token(tokens: NDArray[np.int32], documents: NDArray[np.int64]) -> PackedRows:
    """Return rows in which each token is asked for the next one of its document.

    Args:
        tokens: (B, T + 1) cut from streams; the last one is only asked for.
        documents: (B, T + 1) number of the document of each.

    Returns:
        rows (B, T).
    """
    ids = torch.from_numpy(tokens.astype(np.int64))
    numbers, positions = pieces_of(torch.from_numpy(documents))
    same = numbers[:, 1:] == numbers[:, :-1]
    return PackedRows(
        ids[:, :-1],
        ids[:, 1:].masked_fill(~same, NO_LABEL),
        positions[:, :-1],
        numbers[:, :-1],
    )


def pieces_of(documents: Tensor) -> tuple[Tensor, Tensor]:
    """Return the number of each token's piece and its place there.

    Args:
        documents: (B, T) number of the document of each token; those of one stand together.

    Returns:
        pieces (B, T) and positions (B, T), both from 0.
    """
    new = torch.zeros_like(documents, dtype=torch.bool)
    new[:, 1:] = documents[:, 1:] != documents[:, :-1]
    places = torch.arange(documents.shape[1]).expand_as(documents)
    starts = places.masked_fill(~new, 0).cummax(1).values
    return new.long().cumsum(1), places - starts
