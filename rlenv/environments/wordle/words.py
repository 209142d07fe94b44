"""Which words may be secret, and which may be guessed."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources
from pathlib import Path

from rlenv.common.errors import UserError
from rlenv.core.task import Task, split_of

_LISTS = resources.files("rlenv.environments.wordle") / "lists"  # NOTICE there names their source


@dataclass(frozen=True)
class Words:
    """The words of a game; all are lower case and of one length.

    Attributes:
        secrets: what may have to be found, in order.
        allowed: what may be guessed; the secrets are among it.
    """

    secrets: tuple[str, ...]
    allowed: frozenset[str]

    @cached_property
    def training(self) -> tuple[str, ...]:
        """The secrets of the train split."""
        return tuple(
            s for s in self.secrets if split_of(Task("", identity=identity(s)).key) == "train"
        )


def identity(secret: str) -> list[str]:
    """Return what makes a game the game it is: its secret, whatever the rules."""
    return ["wordle", secret]


@lru_cache(maxsize=16)
def load(length: int, secrets: str | None = None, allowed: str | None = None) -> Words:
    """Load the words of a game.

    Args:
        length: of the words.
        secrets: a file with one word a line; by default the 2,315 secrets of the game for five
            letters, and English words for three to ten.
        allowed: a file of words that may be guessed besides the secrets; `secrets` for none; by
            default English words.

    Raises:
        UserError: a file is missing, or there are no such words.
    """
    if secrets is not None:
        chosen = _of_length(_from_file(secrets), length)
    elif length == 5:
        chosen = _of_length((_LISTS / "secrets.txt").read_text(encoding="utf-8").split(), length)
    else:
        chosen = _of_length(_english(), length)
    if not chosen:
        raise UserError(f"there are no words of {length} letters in {secrets or 'the word list'}")
    more: Iterable[str] = ()
    if allowed is None:
        more = _english()
    elif allowed != "secrets":
        more = _from_file(allowed)
    return Words(tuple(chosen), frozenset([*chosen, *_of_length(more, length)]))


def _of_length(words: Iterable[str], length: int) -> list[str]:
    return list(dict.fromkeys(w for w in words if len(w) == length))


def _english() -> list[str]:
    packed = (_LISTS / "english.txt.gz").read_bytes()
    return gzip.decompress(packed).decode("ascii").split()


def _from_file(name: str) -> list[str]:
    path = Path(name).expanduser()
    if not path.is_file():
        raise UserError(f"{path} does not exist; give a file with one word a line")
    words = path.read_text(encoding="utf-8").lower().split()
    for word in words:
        if not (word.isascii() and word.isalpha()):
            raise UserError(f"{path} holds {word!r}; words are of the letters a to z")
    return words
