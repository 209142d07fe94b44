"""Exact and near duplicates among all documents; the first of each group stays."""

from __future__ import annotations

from hashlib import blake2b
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from rlenv.common.settings import Settings
from rlenv.data.ngrams import FACTOR, group, ngrams
from rlenv.data.pipeline.document import Document
from rlenv.data.pipeline.steps.step import Deduplication
from rlenv.data.word_hashes import Hashes


class ExactSettings(Settings):
    """There is nothing to set."""


class Exact(Deduplication[ExactSettings]):
    """Drop what is the same text as an earlier document, white space aside."""

    Settings = ExactSettings
    reason: ClassVar[str] = "the same text"

    def signature(self, document: Document) -> Hashes:
        """Return 128 bits of BLAKE2b, as two numbers."""
        text = " ".join(document.text.split())
        digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        return np.frombuffer(digest, np.uint64)

    def originals(self, signatures: Hashes) -> NDArray[np.int64]:
        """See `Deduplication.originals`."""
        _, first, which = np.unique(signatures, axis=0, return_index=True, return_inverse=True)
        return first[which.ravel()]


class MinHashSettings(Settings):
    """FineWeb's choice (Penedo et al. 2024, section 3.4): 14 bands of 8 hashes.

    Two documents whose sets of n-grams have a Jaccard similarity of s meet in some band with a
    probability of 1 - (1 - s^rows)^bands: 0.06 at 0.5, 0.77 at 0.75, 0.92 at 0.8, 0.9996 at 0.9.

    Attributes:
        bands: number of them.
        rows: hashes a band; all of them must agree.
        ngram: words a shingle.
        seed: of the hash functions.
    """

    bands: int = Field(14, ge=1)
    rows: int = Field(8, ge=1)
    ngram: int = Field(5, ge=1)
    seed: int = 1


class MinHash(Deduplication[MinHashSettings]):
    """Drop near-duplicates of an earlier document: MinHash (Broder 1997) with banding.

    Documents that meet in a band are joined, and so are those that they met; of such a group the
    first document stays. Words are compared in lower case and without punctuation.
    """

    Settings = MinHashSettings
    reason: ClassVar[str] = "nearly the same text"

    def signature(self, document: Document) -> Hashes:
        """Return one number a band."""
        from rensa import RMinHash

        s = self.settings
        words = document.words.folded
        # a text of fewer words than a shingle is one shingle
        shingles = ngrams(words, max(1, min(s.ngram, len(words))))
        minima = RMinHash.digest_matrix_from_token_hash_sets([shingles], s.bands * s.rows, s.seed)
        return _join_rows(np.array(minima.to_rows()[0], np.uint64).reshape(s.bands, s.rows))

    def originals(self, signatures: Hashes) -> NDArray[np.int64]:
        """See `Deduplication.originals`."""
        forest = np.arange(len(signatures))
        for band in signatures.T:
            found = group(band)
            starts = np.flatnonzero(found.first)
            # every repeat is joined with the first document of its value
            firsts = np.repeat(found.order[starts], found.sizes)
            for later, first in zip(
                found.order[~found.first].tolist(), firsts[~found.first].tolist(), strict=True
            ):
                _join(forest, first, later)
        return np.fromiter((_root(forest, i) for i in range(len(forest))), np.int64, len(forest))


def _join_rows(minima: Hashes) -> Hashes:
    """Hash each row of a matrix to one number: a polynomial modulo 2^64."""
    powers = np.cumprod(np.full(minima.shape[1], FACTOR, np.uint64), dtype=np.uint64)
    joined: Hashes = (minima * powers).sum(axis=1, dtype=np.uint64)
    return joined


def _join(forest: NDArray[np.int64], a: int, b: int) -> None:
    a, b = _root(forest, a), _root(forest, b)
    forest[max(a, b)] = min(a, b)  # the root of a tree is its first document


def _root(forest: NDArray[np.int64], i: int) -> int:
    while forest[i] != i:
        forest[i] = forest[forest[i]]  # halves the path for whoever comes next
        i = int(forest[i])
    return i
