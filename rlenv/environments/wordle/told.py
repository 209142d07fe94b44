"""How a guess and its marks are told as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rlenv.environments.wordle.feedback import GREEN, GREY, YELLOW


def with_letters(guess: str, marks: str) -> str:
    """Return marks beside the letters they are of, `cX rY aG nX eX`."""
    return " ".join(letter + mark for letter, mark in zip(guess, marks, strict=True))


def as_tiles(guess: str, marks: str) -> str:
    """Return one character for each letter and its mark, `⒞ⓡA⒩⒠`.

    To a tokenizer with a token a character, a letter and what became of it are one token, which no
    letter of a guess is.
    """
    firsts = {GREEN: "A", YELLOW: "ⓐ", GREY: "⒜"}
    return "".join(
        chr(ord(firsts[mark]) + ord(letter) - ord("a"))
        for letter, mark in zip(guess, marks, strict=True)
    )


def known(history: Sequence[tuple[str, str]], length: int) -> str:
    """Return what follows from all guesses so far, `is AR ra__E` after `raise` for `crane`.

    Three words: the letters that the secret has not; those that it has at places not known yet;
    and its places. A place holds its letter where that is known, in upper case; otherwise the last
    letter that is in the secret but not there, or `_`.

    Args:
        history: guesses, each with its marks.
        length: of the words.
    """
    found: dict[int, str] = {}
    moved: dict[int, str] = {}
    least: Counter[str] = Counter()  # how often a letter stands in the secret
    said: set[str] = set()
    for guess, marks in history:
        said |= set(guess)
        least |= Counter(a for a, mark in zip(guess, marks, strict=True) if mark != GREY)
        for place, (letter, mark) in enumerate(zip(guess, marks, strict=True)):
            if mark == GREEN:
                found[place] = letter
            elif mark == YELLOW:
                moved[place] = letter
    out = "".join(sorted(said - set(least)))
    somewhere = "".join(sorted((least - Counter(found.values())).elements())).upper()
    places = "".join(found.get(i, "").upper() or moved.get(i, "_") for i in range(length))
    return f"{out} {somewhere} {places}"
