"""Word n-grams as arrays of 64-bit hashes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlenv.data.word_hashes import Hashes

FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, so that multiplying loses nothing


def ngrams(hashes: Hashes, n: int) -> Hashes:
    """Hash every n-gram of a sequence of words.

    The hash is the polynomial sum of h_i * F^(n-1-i) modulo 2^64. Word hashes are uniform, so two
    different n-grams of a corpus of N meet with a probability of about N^2 / 2^65.

    Args:
        hashes: (words,) of the words.
        n: words a gram.

    Returns:
        (words - n + 1,), or empty where there are fewer than n words.
    """
    if len(hashes) < n:
        return hashes[:0]
    found = hashes.copy()
    for step in range(1, n):
        found = found[:-1] * FACTOR + hashes[step:]
    return found


class ValueGroups(NamedTuple):
    """Equal values of an array, told apart.

    Attributes:
        order: (N,) positions, equal values together, in order of position within each.
        first: (N,) whether the position of the same place in `order` is its value's first.
        sizes: (groups,) how often each value occurs.
    """

    order: NDArray[np.int64]
    first: NDArray[np.bool_]
    sizes: NDArray[np.int64]

    @property
    def repeats(self) -> NDArray[np.int64]:
        """Positions whose value occurred before."""
        return self.order[~self.first]

    @property
    def not_alone(self) -> NDArray[np.int64]:
        """Positions whose value occurs elsewhere too, sorted."""
        return np.sort(self.order[np.repeat(self.sizes > 1, self.sizes)])

    def most_frequent(self) -> tuple[int, int]:
        """Return the position and number of the most frequent value; of several, the earliest."""
        starts = self.order[self.first]
        most = int(self.sizes.max())
        return int(starts[self.sizes == most].min()), most


def group(values: Hashes) -> ValueGroups:
    """Find equal values.

    Args:
        values: (N,), N at least 1.
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.ones(len(values), np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    starts = np.flatnonzero(first)
    sizes = np.diff(starts, append=len(values))
    return ValueGroups(order, first, sizes)


def covered(starts: NDArray[np.int64], n: int, words: int) -> NDArray[np.bool_]:
    """Return which of so many words lie in a gram of n words that begins at one of the starts."""
    edges = np.zeros(words + 1, np.int64)
    np.add.at(edges, starts, 1)
    np.add.at(edges, starts + n, -1)
    return np.cumsum(edges[:-1]) > 0


class NgramTable:
    """Which of many n-grams, of several n, occur in a text.

    Args:
        grams: n to (N,) hashes; `names[n][i]` is where gram i comes from.
        names: n to (N,) numbers.
    """

    def __init__(
        self, grams: dict[int, Hashes], names: dict[int, NDArray[np.int64]] | None = None
    ) -> None:
        self._tables: dict[int, tuple[Hashes, NDArray[np.int64], NDArray[np.bool_], np.uint64]] = {}
        for n, values in sorted(grams.items()):
            found, first = np.unique(values, return_index=True)
            where = first if names is None else names[n][first]
            # most n-grams of a text are in no table: a look at one bit tells
            bits = max(16, len(found).bit_length() + 4)
            mask = np.uint64((1 << bits) - 1)
            present = np.zeros(1 << bits, np.bool_)
            present[found & mask] = True
            self._tables[n] = found, where, present, mask

    def find(self, words: Hashes) -> NDArray[np.int64]:
        """Return where each occurrence comes from, see `names`.

        Args:
            words: (words,) hashes of a text.
        """
        hits = [self._find(ngrams(words, n), *table) for n, table in self._tables.items()]
        return np.concatenate(hits) if hits else np.empty(0, np.int64)

    @staticmethod
    def _find(
        grams: Hashes,
        found: Hashes,
        where: NDArray[np.int64],
        present: NDArray[np.bool_],
        mask: np.uint64,
    ) -> NDArray[np.int64]:
        likely = grams[present[grams & mask]]
        places = np.searchsorted(found, likely)
        places[places == len(found)] = 0
        hits: NDArray[np.int64] = where[places[found[places] == likely]]
        return hits
