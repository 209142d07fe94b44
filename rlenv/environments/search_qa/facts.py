"""A made-up country, its people, towns and guilds, and questions about them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from rlenv.environments.search_qa.collection import Collection, Passage
from rlenv.environments.search_qa.questions import Question

_ONSETS = ("b", "br", "d", "dr", "f", "g", "gr", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v")
_VOWELS = ("a", "e", "i", "o", "u")
_CODAS = ("l", "n", "r", "s", "st", "m", "nd", "rk")
_TRADES = ("baker", "clockmaker", "cartographer", "surgeon", "weaver", "botanist", "engraver")
_GOODS = ("glass", "rope", "paper", "honey", "lanterns", "salt", "bells", "carpets", "ink")


@dataclass(frozen=True)
class _Town:
    id: str
    name: str
    river: str
    known_for: str


@dataclass(frozen=True)
class _Person:
    id: str
    name: str
    born: int
    town: _Town
    trade: str


@dataclass(frozen=True)
class _Guild:
    id: str
    name: str
    founder: _Person
    seat: _Town
    makes: str


@dataclass(frozen=True)
class Country:
    """Facts and their passages.

    Attributes:
        collection: a passage about each person, town and guild.
        questions: by how many passages it takes to answer them: 1, 2 or 3.
    """

    collection: Collection
    questions: dict[int, tuple[Question, ...]]


@lru_cache(maxsize=4)
def country(seed: int, people: int) -> Country:
    """Make a country.

    Args:
        seed: of everything in it.
        people: how many; there are half as many guilds and a quarter as many towns.
    """
    rng = random.Random(f"country/{seed}/{people}")
    names = _names(rng)
    ids = list(range(1, 2 * people + 1))
    rng.shuffle(ids)  # a passage's number tells nothing of its kind
    number = map(str, ids)
    towns = [
        _Town(next(number), next(names), next(names), rng.choice(_GOODS))
        for _ in range(max(2, people // 4))
    ]
    persons = [
        _Person(
            next(number),
            f"{next(names)} {next(names)}",
            rng.randint(1500, 1899),
            rng.choice(towns),
            rng.choice(_TRADES),
        )
        for _ in range(people)
    ]
    guilds = []
    for _ in range(max(2, people // 2)):
        founder, seat = rng.choice(persons), rng.choice(towns)
        # what the guild makes must not give away what its town is known for
        makes = rng.choice([goods for goods in _GOODS if goods != seat.known_for])
        guilds.append(_Guild(next(number), next(names), founder, seat, makes))
    passages = [
        *(Passage(town.id, _tell_town(town, rng)) for town in towns),
        *(Passage(person.id, _tell_person(person, rng)) for person in persons),
        *(Passage(guild.id, _tell_guild(guild, rng)) for guild in guilds),
    ]
    passages.sort(key=lambda passage: int(passage.id))
    asked = [*_of_towns(towns), *_of_persons(persons), *_of_guilds(guilds)]
    by_hops = {n: tuple(q for q in asked if len(q.support) == n) for n in (1, 2, 3)}
    return Country(Collection(passages), by_hops)


def _names(rng: random.Random) -> Iterator[str]:
    """Yield names, no two alike."""
    given: set[str] = set()
    while True:
        syllables = [
            rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(("", *_CODAS)) for _ in range(2)
        ]
        name = "".join(syllables).capitalize() + rng.choice(("", "a", "en", "ow"))
        if name not in given:
            given.add(name)
            yield name


def _tell_town(town: _Town, rng: random.Random) -> str:
    first = f"The town of {town.name} lies on the river {town.river}."
    second = f"{town.name} is known for its {town.known_for}."
    return " ".join(rng.sample([first, second], 2))


def _tell_person(person: _Person, rng: random.Random) -> str:
    return rng.choice(
        [
            f"{person.name} was born in {person.born} in {person.town.name} and worked as a "
            f"{person.trade}.",
            f"{person.name}, a {person.trade}, came to the world in {person.town.name} in the year "
            f"{person.born}.",
        ]
    )


def _tell_guild(guild: _Guild, rng: random.Random) -> str:
    return rng.choice(
        [
            f"The {guild.name} Guild, founded by {guild.founder.name}, makes {guild.makes} and has "
            f"its seat in {guild.seat.name}.",
            f"With its seat in {guild.seat.name}, the {guild.name} Guild makes {guild.makes}. It "
            f"was founded by {guild.founder.name}.",
        ]
    )


def _of_towns(towns: list[_Town]) -> Iterator[Question]:
    for t in towns:
        yield _ask(f"On which river does {t.name} lie?", t.river, [t], t.name)
        yield _ask(f"What is {t.name} known for?", t.known_for, [t], t.name)


def _of_persons(persons: list[_Person]) -> Iterator[Question]:
    for p in persons:
        yield _ask(f"In which year was {p.name} born?", str(p.born), [p], p.name)
        yield _ask(f"In which town was {p.name} born?", p.town.name, [p], p.name)
        yield _ask(f"What was the trade of {p.name}?", p.trade, [p], p.name)
        river = f"On which river does the town lie in which {p.name} was born?"
        yield _ask(river, p.town.river, [p, p.town], p.name)


def _of_guilds(guilds: list[_Guild]) -> Iterator[Question]:
    for g in guilds:
        name, founder = f"{g.name} Guild", g.founder
        yield _ask(f"Who founded the {name}?", founder.name, [g], name)
        yield _ask(f"What does the {name} make?", g.makes, [g], name)
        year = f"In which year was the founder of the {name} born?"
        yield _ask(year, str(founder.born), [g, founder], name)
        seat = f"What is the town known for in which the {name} has its seat?"
        yield _ask(seat, g.seat.known_for, [g, g.seat], name)
        river = f"On which river does the town lie in which the founder of the {name} was born?"
        yield _ask(river, founder.town.river, [g, founder, founder.town], name)


def _ask(text: str, answer: str, told_by: list[_Town | _Person | _Guild], about: str) -> Question:
    """Make a question that the passages on these answer, one leading to the next."""
    ids = tuple(one.id for one in told_by)
    return Question(text, (answer,), ids, tuple(one.name for one in told_by), about)
