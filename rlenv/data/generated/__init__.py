"""Text that rlenv writes itself, so that a recipe needs no download: `generated:NAME`.

Grammars over a lexicon of some 500 entries with plain facts make documents to pretrain on, requests
with right replies, and comparisons of replies. The same name gives the same rows everywhere.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Mapping
from dataclasses import asdict
from random import Random
from typing import Any

from rlenv.common.errors import UserError
from rlenv.data.generated.documents import document
from rlenv.data.generated.instructions import exchange
from rlenv.data.generated.preferences import courtesy_pair, instruction_pair

PREFIX = "generated:"
MOST_ROWS = 100_000  # each grammar makes several times as many different ones


def _documents(rng: Random) -> Mapping[str, Any]:
    # several pieces: filters of training text take a short document for a fragment
    return {"text": "\n\n".join(document(rng) for _ in range(rng.randint(3, 6)))}


def _instructions(rng: Random) -> Mapping[str, Any]:
    made = exchange(rng)
    return {"prompt": made.prompt, "completion": made.reply, "skill": made.skill}


def _preferences(rng: Random) -> Mapping[str, Any]:
    return asdict(instruction_pair(rng))


def _courtesy(rng: Random) -> Mapping[str, Any]:
    return asdict(courtesy_pair(rng))


# name to what makes a row, and how many different rows there are by default
SOURCES: dict[str, tuple[Callable[[Random], Mapping[str, Any]], int]] = {
    "documents": (_documents, 8_000),
    "instructions": (_instructions, 10_000),
    "preferences": (_preferences, 8_000),
    "courtesy": (_courtesy, 4_000),
}


def rows(name: str) -> list[dict[str, Any]]:
    """Return the rows of `generated:NAME` or `generated:NAME:COUNT`.

    All rows are different, and those of a smaller count are the first of a larger one.

    Args:
        name: with its prefix; one of `documents` (`text`), `instructions` (`prompt`,
            `completion`), `preferences` and `courtesy` (`prompt`, `chosen`, `rejected`, `flaw`).

    Raises:
        UserError: there is no such source, or the number of rows is out of range.
    """
    kind, _, count = name.removeprefix(PREFIX).partition(":")
    if kind not in SOURCES:
        near = difflib.get_close_matches(kind, SOURCES, n=1)
        hint = f" Did you mean {PREFIX}{near[0]}?" if near else ""
        known = ", ".join(PREFIX + one for one in SOURCES)
        raise UserError(f"there is no generated source {name!r}; there are {known}.{hint}")
    if count and not (count.isdecimal() and 0 < int(count) <= MOST_ROWS):
        raise UserError(f"{name!r}: {count!r} is not a number of rows from 1 to {MOST_ROWS:,}")
    return list(_rows(kind, int(count) if count else SOURCES[kind][1]))


@functools.lru_cache(maxsize=8)
def _rows(kind: str, count: int) -> tuple[dict[str, Any], ...]:
    make = SOURCES[kind][0]
    rng = Random(f"generated/{kind}")
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    while len(found) < count:
        row = dict(make(rng))
        found.setdefault(tuple(row.values()), row)
    return tuple(found.values())
