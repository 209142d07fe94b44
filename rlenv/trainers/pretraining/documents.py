"""Documents as tokens, and the endless stream that rows are cut from."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlenv.data.pipeline.sources import pieces

_AT_ONCE = 256  # documents that are tokenized together
_FEW = 100  # a source of fewer documents is cut, so that some can be held out
_PIECE = 20_000  # characters


@dataclass(frozen=True)
class Documents:
    """Documents one after another, each from the begin token to the end token.

    Attributes:
        tokens: (tokens,) of all of them.
        ends: (documents,) where each one ends.
        size: UTF-8 bytes of the texts.
    """

    tokens: NDArray[np.int32]
    ends: NDArray[np.int64]
    size: int

    def __len__(self) -> int:
        return len(self.ends)

    @classmethod
    def of(cls, texts: Sequence[str], tokenizer: Any) -> Documents:
        """Tokenize texts. A text can't spell a special token."""
        begin, end = tokenizer.bos_token_id, tokenizer.eos_token_id
        made = []
        for first in range(0, len(texts), _AT_ONCE):
            some = list(texts[first : first + _AT_ONCE])
            encoded = tokenizer(
                some, add_special_tokens=False, split_special_tokens=True, verbose=False
            )
            made += [np.array([begin, *ids, end], np.int32) for ids in encoded["input_ids"]]
        return cls(
            np.concatenate(made),
            np.cumsum([len(ids) for ids in made]),
            sum(len(text.encode("utf-8", "surrogatepass")) for text in texts),
        )


def hold_out(texts: Sequence[str], share: float) -> tuple[list[str], list[str]]:
    """Split texts into those to train on and those to validate on.

    The hash of its content decides where a text goes, so that it goes there again whatever else
    the source holds, and a text that stands twice is not on both sides. Where there are few texts
    they are cut into pieces first.

    Args:
        texts: of one source.
        share: of the characters to hold out; 0 holds out nothing, and a single text stays whole.

    Returns:
        The two lists, each in the order of the texts.
    """
    if not share:
        return list(texts), []
    if len(texts) < _FEW:
        texts = [piece for text in texts for piece in pieces(text, _PIECE)]
    wanted = share * sum(map(len, texts))
    chosen: set[str] = set()
    for text in sorted(set(texts), key=_hash)[:-1]:
        if wanted <= 0:
            break
        chosen.add(text)
        wanted -= len(text)
    return [t for t in texts if t not in chosen], [t for t in texts if t in chosen]


def _hash(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class Stream:
    """Documents in a new random order in each epoch, epoch after epoch without end.

    What stands at a place follows from the documents and the seed alone, so going on in the
    middle of an epoch takes nothing but the place.

    Args:
        documents: of one source.
        seed: of the orders.
    """

    def __init__(self, documents: Documents, seed: int) -> None:
        self.documents = documents
        self._seed = seed
        self._sizes = np.diff(documents.ends, prepend=0)
        # rows go back and forth across at most one border of epochs
        self._order = functools.lru_cache(maxsize=2)(self._new_order)

    @property
    def epoch(self) -> int:
        """Tokens an epoch."""
        return len(self.documents.tokens)

    def cut(self, start: int, length: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return what stands at a place.

        Args:
            start: the first token, counted from the beginning of the first epoch.
            length: how many tokens.

        Returns:
            the tokens (length,), and for each the number of its document in the stream (length,).
        """
        tokens = np.empty(length, np.int32)
        numbers = np.empty(length, np.int64)
        done = 0
        while done < length:
            epoch, place = divmod(start + done, self.epoch)
            order, ends = self._order(epoch)
            number = int(np.searchsorted(ends, place, side="right"))
            left = min(int(ends[number]) - place, length - done)
            first = int(self.documents.ends[order[number]]) - (int(ends[number]) - place)
            tokens[done : done + left] = self.documents.tokens[first : first + left]
            numbers[done : done + left] = epoch * len(order) + number
            done += left
        return tokens, numbers

    def _new_order(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self.documents))
        return order, np.cumsum(self._sizes[order])
