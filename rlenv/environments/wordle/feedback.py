"""What a guess is told, one at a time and for whole tables of guesses and secrets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

GREEN, YELLOW, GREY = "G", "Y", "X"
_MARKS = GREY + YELLOW + GREEN  # a mark's place is its digit in a code
_CHUNK = 1 << 20  # pairs worked out at once, so that the arrays between stay in the cache

Codes = NDArray[np.int32]


def feedback(guess: str, secret: str) -> str:
    """Return the marks of a guess, one a letter.

    G: the letter stands there in the secret. Y: it stands elsewhere. X: it does not, or not as
    often. The secret's letters are given to green marks first, then to yellow ones from left to
    right.

    Args:
        guess: as long as the secret.
        secret: the word to find.

    Example:
        >>> feedback("lever", "hello")
        'YGXXX'
    """
    left = ""
    for a, b in zip(guess, secret, strict=True):
        if a != b:
            left += b
    marks = ""
    for a, b in zip(guess, secret, strict=True):
        if a == b:
            marks += GREEN
        elif a in left:
            left = left.replace(a, "", 1)
            marks += YELLOW
        else:
            marks += GREY
    return marks


def encode(marks: str) -> int:
    """Return marks as a number in base 3, the first letter's mark its highest digit."""
    code = 0
    for mark in marks:
        code = 3 * code + _MARKS.index(mark)
    return code


def letters(words: Sequence[str]) -> NDArray[np.uint32]:
    """Return words of one length L as their characters' numbers, (N, L)."""
    return np.array(words).view(np.uint32).reshape(len(words), -1)


def feedback_codes(guesses: NDArray[np.uint32], secrets: NDArray[np.uint32]) -> Codes:
    """Work out the feedback of every guess on every secret.

    Args:
        guesses: (G, L), as `letters` returns them.
        secrets: (S, L).

    Returns:
        Codes (G, S), as `encode` makes them of `feedback`.
    """
    rows = max(1, _CHUNK // max(1, len(secrets)))
    parts = [_codes(guesses[at : at + rows], secrets) for at in range(0, len(guesses), rows)]
    return np.concatenate(parts) if parts else np.zeros((0, len(secrets)), np.int32)


def _codes(guesses: NDArray[np.uint32], secrets: NDArray[np.uint32]) -> Codes:
    length = secrets.shape[1]
    green = [guesses[:, i, None] == secrets[None, :, i] for i in range(length)]  # each (G, S)
    codes = np.zeros((len(guesses), len(secrets)), np.int32)
    for i in range(length):
        letter = guesses[:, i, None]
        # how many of this letter green marks leave over, less those that stand before it
        left = np.zeros(codes.shape, np.int8)
        for j in range(length):
            left += (secrets[None, :, j] == letter) & ~green[j]
        for j in range(i):
            left -= (guesses[:, j, None] == letter) & ~green[j]
        codes = 3 * codes + np.where(green[i], 2, left > 0)
    return codes
