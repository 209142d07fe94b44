"""Byte n-grams with Kneser-Ney smoothing: what a language model must beat."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LONGEST = 8  # bytes that fit into the 64 bits of a key
_Keys = NDArray[np.uint64]


@dataclass(frozen=True)
class _Order:
    """The counts of one order: of n-grams, and of the contexts they begin with.

    Attributes:
        grams, counts: the different n-grams, sorted, and how often each counts.
        contexts, totals, kinds: their first n - 1 bytes, sorted; how often anything followed, and
            how many different bytes did.
        discount: what is taken off each count.
    """

    grams: _Keys
    counts: NDArray[np.int64]
    contexts: _Keys
    totals: NDArray[np.int64]
    kinds: NDArray[np.int64]
    discount: float

    @classmethod
    def of(cls, grams: _Keys, counts: NDArray[np.int64]) -> _Order:
        contexts, starts = np.unique(grams >> np.uint64(8), return_index=True)
        once, twice = int((counts == 1).sum()), int((counts == 2).sum())
        return cls(
            grams,
            counts,
            contexts,
            np.add.reduceat(counts, starts),
            np.diff(np.append(starts, len(grams))),
            once / (once + 2 * twice) if once else 0.5,
        )


class ByteNgrams:
    """Interpolated Kneser-Ney (Kneser and Ney 1995; Chen and Goodman 1999, section 2.7) on bytes.

    P(w | h) = max(c(hw) - D, 0) / c(h) + D N(h) / c(h) P(w | h'), where h' is h without its first
    byte, N(h) counts the different bytes after h, and D = n1 / (n1 + 2 n2) is the discount of the
    order, 1/2 where no n-gram was seen once. Lower orders count after how many different bytes an
    n-gram was seen, not how often; the lowest is mixed with a uniform choice of 256 bytes.

    Args:
        texts: what to count. Each begins with bytes 0.
        order: length of the longest n-grams, 1 to 8.
    """

    def __init__(self, texts: Iterable[bytes], order: int) -> None:
        if not 1 <= order <= LONGEST:
            raise ValueError(f"the order is 1 to {LONGEST}, not {order}")
        self.order = order
        joined = np.concatenate([_keys(text, order) for text in texts])
        grams, counts = np.unique(joined, return_counts=True)
        self._orders = [_Order.of(grams, counts)]
        for n in range(order - 1, 0, -1):
            tails = grams & np.uint64((1 << 8 * n) - 1)
            grams, counts = np.unique(tails, return_counts=True)
            self._orders.insert(0, _Order.of(grams, counts))

    def probabilities(self, text: bytes) -> NDArray[np.float64]:
        """Return the probability of each byte of a text after those before it, (len(text),)."""
        keys = _keys(text, self.order)
        found = np.full(len(keys), 1 / 256)
        for n, order in enumerate(self._orders, 1):
            gram = keys & np.uint64((1 << 8 * n) - 1) if n < LONGEST else keys
            context = gram >> np.uint64(8)
            count = _look_up(order.grams, order.counts, gram)
            total = _look_up(order.contexts, order.totals, context)
            kinds = _look_up(order.contexts, order.kinds, context)
            own = np.maximum(count - order.discount, 0) + order.discount * kinds * found
            found = np.where(total > 0, own / np.maximum(total, 1), found)
        return found

    def bits(self, text: bytes) -> float:
        """Return how many bits a text takes."""
        return float(-np.log2(self.probabilities(text)).sum())


def _keys(text: bytes, order: int) -> _Keys:
    """Return for each byte of a text the number that it and the `order - 1` before it spell."""
    padded = np.frombuffer(bytes(order - 1) + text, dtype=np.uint8)
    keys = np.zeros(len(text), dtype=np.uint64)
    for n in range(order):
        keys = (keys << np.uint64(8)) | padded[n : n + len(text)].astype(np.uint64)
    return keys


def _look_up(keys: _Keys, values: NDArray[np.int64], wanted: _Keys) -> NDArray[np.int64]:
    """Return the values of sorted keys, 0 where there is no such key."""
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, values[places], 0)
