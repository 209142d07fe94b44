"""Requests with the right reply: knowledge, language, sums, lists, directions, notes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from rlenv.data.generated.lexicon import a, lexicon, listed, pick, plural, sentence, word, words


@dataclass(frozen=True)
class Exchange:
    """A request and its reply.

    Attributes:
        skill: what it takes, such as `opposite`.
        prompt: the request.
        reply: a right reply, in a sentence where a sentence fits.
        core: the part of the reply that must be right, such as the opposite itself.
    """

    skill: str
    prompt: str
    reply: str
    core: str


def exchange(rng: Random, skill: str | None = None) -> Exchange:
    """Draw a request with its reply.

    Args:
        rng: draws it.
        skill: of this kind; by default of any.
    """
    name = rng.choice(list(SKILLS)) if skill is None else skill
    prompt, reply, core = SKILLS[name](rng)
    return Exchange(name, prompt, reply, core)


Made = tuple[str, str, str]


def _looked_up(kind: str, questions: tuple[str, ...], answer: str) -> Callable[[Random], Made]:
    def make(rng: Random) -> Made:
        asked, said = pick(rng, kind)
        return rng.choice(questions).format(asked), sentence(answer.format(asked, said)), said

    return make


def _animal_where(rng: Random) -> Made:
    name, (_, where, _, _) = pick(rng, "animals")
    ask = rng.choice([f"Where does the {name} live?", f"Where can one find {a(name)}?"])
    return ask, f"The {name} lives {where}.", where


def _animal_food(rng: Random) -> Made:
    name, (_, _, food, _) = pick(rng, "animals")
    ask = rng.choice([f"What does {a(name)} eat?", f"What is the food of the {name}?"])
    return ask, f"The {name} eats {food}.", food


def _animal_kind(rng: Random) -> Made:
    name, (kind, *_) = pick(rng, "animals")
    other = rng.choice(sorted({facts[0] for facts in lexicon()["animals"].values()} - {kind}))
    first, second = rng.sample([kind, other], 2)
    return f"Is the {name} {a(first)} or {a(second)}?", f"The {name} is {a(kind)}.", kind


def _animal_known(rng: Random) -> Made:
    name, (_, _, _, known) = pick(rng, "animals")
    return f"What is the {name} known for?", f"The {name} is known for {known}.", known


def _describe(rng: Random) -> Made:
    name, (kind, where, food, known) = pick(rng, "animals")
    ask = rng.choice([f"Describe the {name}.", f"Tell me about the {name}."])
    return (
        ask,
        (f"The {name} is {a(kind)}. It lives {where} and eats {food}. It is known for {known}."),
        where,
    )


def _tool_use(rng: Random) -> Made:
    name, (_, use, _) = pick(rng, "tools")
    ask = rng.choice([f"What is {a(name)} for?", f"What does one do with {a(name)}?"])
    return ask, sentence(f"one uses it to {use}"), use


def _tool_named(rng: Random) -> Made:
    name, (where, use, _) = pick(rng, "tools")
    return (
        f"Which tool, used {where}, serves to {use}?",
        f"That is the {name}.",
        name,
    )


def _tool_material(rng: Random) -> Made:
    name, (_, _, material) = pick(rng, "tools")
    return f"What is the {name} made of?", sentence(f"it is made of {material}"), material


def _job(rng: Random) -> Made:
    name, (where, does, _) = pick(rng, "jobs")
    return (
        f"What does {a(name)} do?",
        sentence(f"{a(name)} works {where}, to {does}"),
        does,
    )


def _job_named(rng: Random) -> Made:
    name, (where, does, _) = pick(rng, "jobs")
    return f"Who works {where} to {does}?", f"That is {a(name)}.", name


def _capital(rng: Random) -> Made:
    city, (country, _, _) = pick(rng, "places")
    ask = rng.choice([f"What is the capital of {country}?", f"Name the capital of {country}."])
    return ask, sentence(f"the capital of {country} is {city}"), city


def _country(rng: Random) -> Made:
    city, (country, _, _) = pick(rng, "places")
    return f"In which country is {city}?", f"{city} is in {country}.", country


def _language(rng: Random) -> Made:
    city, (_, _, language) = pick(rng, "places")
    return f"Which language do most people speak in {city}?", f"They speak {language}.", language


def _colour(rng: Random) -> Made:
    name, (_, colour, _, _) = pick(rng, "foods")
    return f"What colour is {name}?", sentence(f"{name} is {colour}"), colour


def _dish(rng: Random) -> Made:
    name, (_, _, _, dish) = pick(rng, "foods")
    return f"What can I make with {name}?", f"You can make {dish}.", dish


def _list_of_kind(rng: Random) -> Made:
    table = rng.choice(["animals", "foods"])
    entries = lexicon()[table]
    kinds = sorted({facts[0] for facts in entries.values()})
    full = [k for k in kinds if sum(facts[0] == k for facts in entries.values()) >= 5]
    kind = rng.choice(full)
    some = rng.sample([name for name, facts in entries.items() if facts[0] == kind], 3)
    number = {"fish": "kinds of fish"}.get(kind, plural(kind))
    return f"Name three {number}.", sentence(listed(some)), some[0]


def _odd_one_out(rng: Random) -> Made:
    entries = lexicon()["foods"]
    kind, other = rng.sample(["fruit", "vegetable", "herb", "spice", "nut"], 2)
    three = rng.sample([n for n, f in entries.items() if f[0] == kind], 3)
    odd = rng.choice([n for n, f in entries.items() if f[0] == other])
    shown = [*three, odd]
    rng.shuffle(shown)
    return (
        f"Which one does not belong: {listed(shown, 'or')}?",
        sentence(f"{odd} does not belong, because the others are {plural(kind)}"),
        odd,
    )


def _how_to(rng: Random) -> Made:
    chore, steps = pick(rng, "chores")
    ask = rng.choice([f"How do I {chore}?", f"Tell me how to {chore}."])
    middle = [f"then {step}" for step in steps[1:-1]]
    return (
        ask,
        sentence(f"first {steps[0]}, {', '.join(middle)}, and at last {steps[-1]}"),
        steps[0],
    )


def _first_step(rng: Random) -> Made:
    chore, steps = pick(rng, "chores")
    place = rng.randrange(len(steps) - 1)
    return (
        f"I want to {chore}. What do I do after this step: {steps[place]}?",
        sentence(f"after that, {steps[place + 1]}"),
        steps[place + 1],
    )


def _sum(rng: Random) -> Made:
    who, thing = word(rng, "names"), plural(word(rng, "foods"))
    one, two = rng.randint(2, 60), rng.randint(2, 60)
    if rng.random() < 0.5:
        ask = f"{who} has {one} {thing} and buys {two} more. How many are there?"
        result = one + two
    else:
        one, two = max(one, two), min(one, two)
        ask = f"{who} has {one} {thing} and gives {two} away. How many are left?"
        result = one - two
    return ask, f"{who} has {result} {thing}.", str(result)


def _convert(rng: Random) -> Made:
    many, small, factor = rng.choice(
        [("hours", "minutes", 60), ("metres", "centimetres", 100), ("days", "hours", 24),
         ("weeks", "days", 7), ("kilograms", "grams", 1000), ("years", "months", 12)]
    )  # fmt: skip
    number = rng.randint(2, 12)
    result = number * factor
    return (
        f"Convert {number} {many} to {small}.",
        f"{number} {many} are {result} {small}.",
        str(result),
    )


def _sorted_words(rng: Random) -> Made:
    some = words(rng, rng.choice(["animals", "foods", "tools"]), 4)
    ordered = ", ".join(sorted(some))
    return f"Put these words in alphabetical order: {', '.join(some)}", sentence(ordered), ordered


def _letters(rng: Random) -> Made:
    some = word(rng, rng.choice(["animals", "foods", "tools", "jobs"]))
    count = str(len(some))
    return f"How many letters has the word {some}?", f"The word {some} has {count} letters.", count


def _spelled(rng: Random) -> Made:
    some = word(rng, rng.choice(["animals", "foods", "tools", "jobs"]))
    spelled = "-".join(some.upper())
    return f"Spell the word {some}.", f"{spelled}.", spelled


def _use_word(rng: Random) -> Made:
    table = rng.choice(["animals", "tools"])
    name, facts = pick(rng, table)
    where = facts[1] if table == "animals" else facts[0]
    who = word(rng, "names")
    made = f"{word(rng, 'times')} {who} saw {a(name)} {where}"
    return f"Write a sentence with the word {name}.", sentence(made), name


def _note(rng: Random) -> Made:
    reader, writer = words(rng, "names", 2)
    kind = rng.choice(["thank", "invite", "excuse"])
    if kind == "thank":
        gift = word(rng, "tools")
        ask = f"Write a note from {writer} that thanks {reader} for the {gift}."
        body, core = f"thank you very much for the {gift}. I will use it often.", gift
    elif kind == "invite":
        city = word(rng, "places")
        ask = f"Write a note in which {writer} invites {reader} to {city}."
        body, core = f"would you like to come to {city} with me? I would be glad.", city
    else:
        chore = word(rng, "chores")
        ask = f"Write a note in which {writer} tells {reader} that there was no time to {chore}."
        body, core = f"I am sorry, but I had no time to {chore}. I will do it soon.", chore
    return ask, f"Dear {reader}, {body} Yours, {writer}", core


def _correct(rng: Random) -> Made:
    who, (name, (_, where, food, _)) = word(rng, "names"), pick(rng, "animals")
    right, wrong = rng.choice(
        [
            (f"{who} doesn't like the {name}.", f"{who} don't like the {name}."),
            (f"The {name} eats {food}.", f"The {name} eat {food}."),
            (f"There are two {plural(name)}.", f"There is two {plural(name)}."),
            (f"{who} has seen {a(name)} {where}.", f"{who} have seen {a(name)} {where}."),
        ]
    )
    return f"Correct the grammar: {wrong}", right, right


SKILLS: dict[str, Callable[[Random], Made]] = {
    "opposite": _looked_up(
        "opposites",
        ("What is the opposite of {}?", "Give me the opposite of {}."),
        "the opposite of {} is {}",
    ),
    "synonym": _looked_up(
        "synonyms", ("Give another word for {}.", "What is a synonym of {}?"), "another word is {1}"
    ),
    "plural": _looked_up(
        "plurals", ("What is the plural of {}?", "Give the plural of {}."), "the plural is {1}"
    ),
    "past": _looked_up(
        "past", ("What is the past tense of {}?", "Put {} into the past."), "the past tense is {1}"
    ),
    "french": _looked_up(
        "french", ("Translate into French: {}", "What is {} in French?"), "in French it is {1}"
    ),
    "german": _looked_up(
        "german", ("Translate into German: {}", "What is {} in German?"), "in German it is {1}"
    ),
    "animal_where": _animal_where,
    "animal_food": _animal_food,
    "animal_kind": _animal_kind,
    "animal_known": _animal_known,
    "describe": _describe,
    "tool_use": _tool_use,
    "tool_named": _tool_named,
    "tool_material": _tool_material,
    "job": _job,
    "job_named": _job_named,
    "capital": _capital,
    "country": _country,
    "language": _language,
    "colour": _colour,
    "dish": _dish,
    "list": _list_of_kind,
    "odd_one_out": _odd_one_out,
    "how_to": _how_to,
    "next_step": _first_step,
    "sum": _sum,
    "convert": _convert,
    "sort": _sorted_words,
    "letters": _letters,
    "spell": _spelled,
    "use_word": _use_word,
    "note": _note,
    "correct": _correct,
}
