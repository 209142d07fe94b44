"""Span corruption (Raffel et al. 2020, section 3.1.4) in one sequence, for a decoder.

What is left of a piece, with a sentinel in the place of each span, is a prefix that all its tokens
see; after it each sentinel is followed by its span. T5 gives the one to its encoder and asks its
decoder for the other.

    Thank you for inviting me to your party last week .
    Thank you <0> me to your party <1> week . | <0> for inviting <1> last <end>
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlenv.trainers.pretraining.rows import NO_LABEL

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Noise:
    """How much of a piece is cut out.

    Attributes:
        share: of the tokens.
        span: mean length of a span.
    """

    share: float
    span: float

    def counts(self, length: int) -> tuple[int, int]:
        """Return how many tokens are cut out of so many, at least one, and in how many spans."""
        noise = min(max(1, round(length * self.share)), length - 1)
        spans = min(max(1, round(noise / self.span)), noise, length - noise)
        return noise, spans

    def needs(self, length: int) -> int:
        """Return how long a piece of so many tokens becomes."""
        return length + 2 * self.counts(length)[1] + 1

    def longest(self, room: int) -> int:
        """Return how many tokens a piece may have to fit into so many; less than 2 is none."""
        length = room - 3
        while length >= 2 and self.needs(length) > room:
            length -= 1
        return length


@dataclass(frozen=True)
class Form:
    """What corrupted rows look like.

    Attributes:
        noise: how much is cut out.
        sentinels: tokens that stand for the first span, the second, ...
        end: the token after the last span.
        length: tokens a row.
    """

    noise: Noise
    sentinels: Ids
    end: int
    length: int


def pack(
    tokens: NDArray[np.int32], owners: Ids, form: Form, rng: np.random.Generator
) -> tuple[Ids, Ids, Ids, NDArray[np.bool_]]:
    """Corrupt the pieces of a row.

    Args:
        tokens: (R,) the row as it was cut.
        owners: (R,) number of the document of each token.
        form: of what is made.
        rng: decides on the spans.

    Returns:
        token ids, labels, pieces and prefix, each (form.length,); a place that nothing fills is a
        piece of its own without a label.
    """
    ids = np.zeros(form.length, np.int64)
    labels = np.full(form.length, NO_LABEL, np.int64)
    pieces = np.arange(form.length, dtype=np.int64) + form.length
    prefix = np.zeros(form.length, np.bool_)
    place = 0
    borders = np.flatnonzero(np.diff(owners)) + 1
    for number, piece in enumerate(np.split(tokens, borders)):
        size = min(len(piece), form.noise.longest(form.length - place))
        if size < 2:
            continue
        shown, asked = corrupt(piece[:size], form, rng)
        both = np.concatenate([shown, asked])
        first, middle, place = place, place + len(shown), place + len(both)
        ids[first:place] = both
        labels[middle - 1 : place - 1] = asked
        pieces[first:place] = number
        prefix[first:middle] = True
    return ids, labels, pieces, prefix


def corrupt(piece: NDArray[np.int32], form: Form, rng: np.random.Generator) -> tuple[Ids, Ids]:
    """Cut spans out of a piece.

    Args:
        piece: at least 2 tokens.
        form: of what is made.
        rng: decides on the spans.

    Returns:
        what is shown, and what is asked for.
    """
    noise, count = form.noise.counts(len(piece))
    kept = _parts(len(piece) - noise, count, rng)
    cut = _parts(noise, count, rng)
    shown: list[int] = []
    asked: list[int] = []
    place = 0
    for number in range(count):
        sentinel = int(form.sentinels[number])
        shown += [*piece[place : place + kept[number]].tolist(), sentinel]
        place += kept[number]
        asked += [sentinel, *piece[place : place + cut[number]].tolist()]
        place += cut[number]
    return np.array(shown, np.int64), np.array([*asked, form.end], np.int64)


def _parts(total: int, count: int, rng: np.random.Generator) -> list[int]:
    """Split a number into so many, each at least 1, all ways alike."""
    borders = np.sort(rng.choice(total - 1, count - 1, replace=False)) + 1
    lengths: list[int] = np.diff([0, *borders.tolist(), total]).tolist()
    return lengths
