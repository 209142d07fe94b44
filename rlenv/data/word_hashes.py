"""The words of a text as numbers: how texts are compared, whatever their case and punctuation."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cached_property, lru_cache
from hashlib import blake2b
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

_WORD = re.compile(r"\w+")
_CACHED = 1 << 18  # different words whose properties are remembered, some 60 MB


class WordSequence(Sequence[str]):
    """The words of a text; what depends on a word alone is computed once for each different one.

    Args:
        items: the words in order.

    Attributes:
        counts: how often each different word occurs, in order of first appearance.
        ids: (words,) for each word its place among the different ones.
    """

    def __init__(self, items: list[str]) -> None:
        self._items = items
        self.counts: Counter[str] = Counter(items)
        place = dict(zip(self.counts, range(len(self.counts)), strict=True))
        self.ids = np.fromiter(map(place.__getitem__, items), np.int64, len(items))

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """(words,) characters of each word."""
        return np.fromiter(map(len, self.counts), np.int64, len(self.counts))[self.ids]

    @cached_property
    def hashes(self) -> Hashes:
        """(words,) a 64-bit number for each different word, which means nothing in other texts."""
        return mix(self.ids)

    @cached_property
    def folded(self) -> Hashes:
        """Hashes of the runs of letters and digits in lower case, whatever stands between them.

        The same for "Don't, she said" and "don t SHE SAID"; near-duplicates, decontamination and
        classifiers look at these.
        """
        pieces = list(map(_folded, self.counts))
        sizes = np.fromiter(map(len, pieces), np.int64, len(pieces))
        starts = np.cumsum(sizes) - sizes
        flat = np.fromiter(chain.from_iterable(pieces), np.uint64, int(sizes.sum()))
        # word i contributes flat[starts[i] : starts[i] + sizes[i]]
        sizes, starts = sizes[self.ids], starts[self.ids]
        before = np.cumsum(sizes) - sizes
        found: Hashes = flat[np.arange(int(sizes.sum())) + np.repeat(starts - before, sizes)]
        return found


def mix(values: NDArray[np.int64]) -> Hashes:
    """Spread numbers over 64 bits, different ones to different ones (Steele et al. 2014)."""
    mixed = (values.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


@lru_cache(_CACHED)
def word_hash(word: str) -> int:
    """Return 64 bits of BLAKE2b of a word: the same in every process and on every machine."""
    # a lone surrogate, which JSON can hold, must not stop the pipeline
    digest = blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


@lru_cache(_CACHED)
def _folded(word: str) -> tuple[int, ...]:
    return tuple(map(word_hash, _WORD.findall(word.lower())))


def fold(text: str) -> Hashes:
    """Return the folded word hashes of a text, see `WordSequence.folded`."""
    return WordSequence(text.split()).folded
