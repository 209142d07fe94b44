"""The words and plain facts that generated texts are made of."""

from __future__ import annotations

import functools
from importlib import resources
from random import Random
from typing import Any

import yaml


@functools.cache
def lexicon() -> dict[str, Any]:
    """Return kinds of things by name, each with the facts that `lexicon.yaml` lists."""
    text = resources.files(__package__).joinpath("lexicon.yaml").read_text("utf-8")
    facts: dict[str, Any] = yaml.safe_load(text)
    return facts


def pick(rng: Random, kind: str) -> tuple[str, Any]:
    """Draw an entry of a kind that is a mapping; returns its name and its facts."""
    entries = lexicon()[kind]
    name = rng.choice(list(entries))
    return name, entries[name]


def word(rng: Random, kind: str) -> str:
    """Draw a word of a kind, such as a name or the name of an animal."""
    found: str = rng.choice(list(lexicon()[kind]))
    return found


def words(rng: Random, kind: str, count: int) -> list[str]:
    """Draw so many different words of a kind."""
    return rng.sample(list(lexicon()[kind]), count)


def a(noun: str) -> str:
    """Put the indefinite article before a noun."""
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"


def plural(noun: str) -> str:
    """Return the plural of a noun in the lexicon."""
    irregular: dict[str, str] = lexicon()["plurals"]
    if noun in irregular:
        return irregular[noun]
    if noun in ("deer", "salmon", "cod", "scissors", "pliers", "tweezers"):
        return noun
    if noun.endswith(("s", "x", "ch", "sh", "o")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"


def sentence(text: str) -> str:
    """Begin with a capital letter and end with a full stop."""
    text = text[0].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def listed(items: list[str], last: str = "and") -> str:
    """Join items as in a sentence: `a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}"
