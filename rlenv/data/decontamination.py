"""Keeping held-out tasks out of training text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rlenv.core import registry
from rlenv.core.task import Task


def decontaminate(texts: Iterable[str], ref: str, **options: Any) -> list[str]:
    """Drop from texts every line that states a held-out task of an environment.

    Args:
        texts: any corpus.
        ref: the environment: an id, or `file.py:Id`. Its validation and test tasks are held out.
        **options: of the environment.

    Returns:
        The texts, in order, without those lines.

    Raises:
        UserError: there is no such environment.

    Example:
        >>> rlenv.decontaminate(["9 + 22 = 31\\nCall me Ishmael.\\n"], "rlenv/Arithmetic-v0")
        ['Call me Ishmael.\\n']
    """
    held_out = [
        registry.make(ref, split=split, **options).tasks for split in ("validation", "test")
    ]
    return list(map(Decontaminator(held_out), texts))


class Decontaminator:
    """Drops the lines of a text that state a held-out task.

    Args:
        held_out: task sets that must not be trained on.
        most: of an endless task set, look for so many different questions.
    """

    def __init__(self, held_out: Iterable[Iterable[Task]], most: int = 20_000) -> None:
        self._questions: set[str] = set()
        for tasks in held_out:
            self._questions |= _questions(tasks, most)
        self._shortest = min(map(len, self._questions), default=0)
        # beginning of a question -> lengths of those that begin so
        self._sizes: dict[str, set[int]] = {}
        for question in self._questions:
            self._sizes.setdefault(question[: self._shortest], set()).add(len(question))

    def __call__(self, text: str) -> str:
        """Return the text without the lines that hold a task's question, white space aside."""
        return "".join(line for line in text.splitlines(keepends=True) if not self.finds(line))

    def finds(self, line: str) -> bool:
        """Return whether a line holds a held-out question."""
        return next(self.occurrences(line), None) is not None

    def occurrences(self, text: str) -> Iterator[str]:
        """Yield the held-out questions in a text, as `squeeze` leaves them."""
        squeezed = "".join(text.split())
        for start in range(len(squeezed) - self._shortest + 1):
            for size in self._sizes.get(squeezed[start : start + self._shortest], ()):
                found = squeezed[start : start + size]
                if found in self._questions:
                    yield found


def _questions(tasks: Iterable[Task], most: int) -> set[str]:
    """Return the different questions of a task set; one task may be asked in several ways."""
    found: set[str] = set()
    misses = 0  # in a row: an endless set that asks few different questions must end too
    for task in tasks:
        question = squeeze(task.question)
        misses = misses + 1 if question in found else 0
        found.add(question)
        if len(found) >= most or misses > 200 + 2 * len(found):
            break
    return found - {""}


def squeeze(question: str) -> str:
    """Return a question without white space and without the `=?` at its end."""
    return "".join(question.split()).rstrip("?=")
