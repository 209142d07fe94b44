"""Players of Wordle that learn nothing: for demonstrations, and to compare policies with."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rlenv.environments.wordle.feedback import encode, feedback, feedback_codes, letters

History = Sequence[tuple[str, str]]  # guesses, each with its marks
Player = Callable[[History, random.Random], str | None]

_KEPT = 4096  # words whose feedback on all others is kept


class RandomValid:
    """Guesses any word, whatever it was told.

    Args:
        words: it may guess.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.words = words

    def __call__(self, history: History, rng: random.Random) -> str:
        """Return the next guess."""
        return rng.choice(self.words)


class Solver:
    """Guesses a word that agrees with all it was told, and of those one that should tell most.

    What a guess should tell is the entropy of its feedback, all words that are left being
    equally likely (Shannon 1948, section 6).

    Args:
        words: it knows of, all of one length; the secret is thought to be one of them.
        breadth: of the words that are left, weigh so many drawn at random; None weighs all, 1
            takes any of them.
    """

    def __init__(self, words: Sequence[str], breadth: int | None = None) -> None:
        self.words = tuple(words)
        self.breadth = breadth
        self._letters = letters(self.words)
        self._codes = lru_cache(maxsize=_KEPT)(self._on_all)
        self._opening: str | None = None
        self._any = dict.fromkeys(self.words, 1 / max(1, len(self.words)))

    def __call__(self, history: History, rng: random.Random) -> str | None:
        """Return the next guess; None where no word it knows agrees with what it was told."""
        if not history and self.breadth is None:
            self._opening = self._opening or self._best(self.left([]), rng)
            return self._opening
        left = self.left(history)
        return self._best(left, rng) if len(left) else None

    def choices(self, history: History) -> Mapping[str, float] | None:
        """Return how likely each guess is; None where it weighs some against others.

        It is empty where no word it knows agrees with what it was told.
        """
        if not history and self.breadth == 1:
            return self._any  # the same one each time, so that it need not be read anew
        left = self.left(history)
        if len(left) > 1 and self.breadth != 1:
            return None
        return dict.fromkeys((self.words[n] for n in left), 1 / max(1, len(left)))

    def left(self, history: History) -> NDArray[np.intp]:
        """Return the numbers of the words that agree with all feedback."""
        agrees = np.ones(len(self.words), dtype=bool)
        for guess, marks in history:
            agrees &= self._codes(guess) == encode(marks)
        return np.flatnonzero(agrees)

    def _on_all(self, guess: str) -> NDArray[np.unsignedinteger]:
        codes = feedback_codes(letters([guess]), self._letters)[0]
        small: NDArray[np.unsignedinteger] = codes.astype(np.min_scalar_type(3 ** len(guess) - 1))
        return small

    def _best(self, left: NDArray[np.intp], rng: random.Random) -> str:
        weighed = list(map(int, left))
        if self.breadth is not None and len(weighed) > self.breadth:
            weighed = rng.sample(weighed, self.breadth)
        if len(weighed) > 1:
            told = [entropy(self._codes(self.words[guess])[left]) for guess in weighed]
            weighed = [weighed[int(np.argmax(told))]]
        return self.words[weighed[0]]


def entropy(codes: NDArray[np.integer]) -> float:
    """Return how much feedback tells, in bits, where each of these codes is equally likely."""
    counts = np.bincount(codes)
    shares = counts[counts > 0] / len(codes)
    return float(-(shares * np.log2(shares)).sum())


def play(player: Player, secret: str, rng: random.Random, guesses: int = 6) -> History:
    """Play one game to its end; the last marks say whether it was won."""
    history: list[tuple[str, str]] = []
    for _ in range(guesses):
        guess = player(history, rng)
        if guess is None:
            break
        history.append((guess, feedback(guess, secret)))
        if guess == secret:
            break
    return history
