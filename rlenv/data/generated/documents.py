"""Documents of plain English: entries, directions, letters, reports, talks, short stories."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from rlenv.data.generated.lexicon import a, lexicon, listed, pick, plural, sentence, word, words


def document(rng: Random) -> str:
    """Draw a document of one of the kinds."""
    return rng.choice(KINDS)(rng)


def _say(rng: Random, *ways: str) -> str:
    return sentence(rng.choice(ways))


def animal_entry(rng: Random) -> str:
    """Say what an animal is, where it lives and what it eats, and compare it with another."""
    name, (kind, where, food, known) = pick(rng, "animals")
    other, (kind2, where2, food2, _) = pick(rng, "animals")
    parts = [
        _say(rng, f"the {name} is {a(kind)}", f"{a(name)} is {a(kind)}"),
        _say(rng, f"it lives {where}", f"you can find it {where}", f"people meet it {where}"),
        _say(rng, f"it eats {food}", f"its food is {food}", f"it feeds on {food}"),
        _say(rng, f"it is known for {known}", f"many people know it for {known}"),
    ]
    if other != name and rng.random() < 0.6:
        if kind == kind2:
            parts.append(sentence(f"like the {other}, it is {a(kind)}"))
        else:
            parts.append(sentence(f"the {other} lives {where2} and eats {food2}"))
            parts.append(sentence(f"it is no {kind} but {a(kind2)}"))
    head, rest = parts[0], parts[1:]
    rng.shuffle(rest)
    return " ".join([head, *rest])


def food_entry(rng: Random) -> str:
    """Say what a food looks and tastes like, and what is made of it."""
    name, (kind, colour, taste, dish) = pick(rng, "foods")
    who = word(rng, "names")
    return " ".join(
        [
            _say(rng, f"{name} is {a(kind)}", f"{name} is {a(kind)} that many people like"),
            _say(rng, f"it is {colour} and tastes {taste}", f"its taste is {taste}"),
            _say(
                rng,
                f"people make {dish} with it",
                f"{who} makes {dish} with it",
                f"it is good for {dish}",
            ),
            _say(
                rng,
                f"at the market {who} buys {rng.randint(2, 9)} pounds of it",
                f"{who} keeps some of it in the kitchen all year",
                f"{who} likes it best {word(rng, 'times')}",
            ),
        ]
    )


def job_entry(rng: Random) -> str:
    """Say what somebody does for a living, with which tools."""
    job, (where, does, tool) = pick(rng, "jobs")
    who = word(rng, "names")
    uses, (_, what, made_of) = tool, lexicon()["tools"][tool]
    return " ".join(
        [
            _say(rng, f"{who} is {a(job)}", f"{who} works as {a(job)}"),
            _say(rng, f"{a(job)} works {where}", f"the work is done {where}"),
            _say(rng, f"the task is to {does}", f"every day {who} has to {does}"),
            _say(
                rng,
                f"for this {who} needs {_one(uses)}, which serves to {what}",
                f"{_one(uses)} is always at hand, to {what}",
            ),
            _say(rng, f"it is made of {made_of}", f"{made_of} is what it is made of"),
        ]
    )


def _one(tool: str) -> str:
    return f"a pair of {tool}" if tool in ("scissors", "pliers", "tweezers") else a(tool)


def place_entry(rng: Random) -> str:
    """Say where a city lies, and tell of a visit."""
    city, (country, water, language) = pick(rng, "places")
    who, when = word(rng, "names"), word(rng, "times")
    bought = word(rng, "foods")
    return " ".join(
        [
            sentence(f"{city} is the capital of {country}"),
            _say(rng, f"it lies on {water}", f"it stands on {water}"),
            _say(rng, f"people there speak {language}", f"most people there speak {language}"),
            _say(
                rng,
                f"{when} {who} went there, and the weather was {word(rng, 'weathers')}",
                f"{who} came there {when} to see {a(word(rng, 'jobs'))}",
            ),
            sentence(f"{who} bought some {bought} and was {word(rng, 'moods')}"),
        ]
    )


def directions(rng: Random) -> str:
    """Say step by step how something is done."""
    chore, steps = pick(rng, "chores")
    if rng.random() < 0.5:
        lines = [f"{number}. {sentence(step)}" for number, step in enumerate(steps, 1)]
        return "\n".join([f"How to {chore}", "", *lines])
    text = [f"First, {steps[0]}"]
    text += [f"{rng.choice(['Then', 'Next', 'After that'])}, {step}" for step in steps[1:-1]]
    text.append(f"Finally, {steps[-1]}")
    return f"This is how to {chore}. " + " ".join(sentence(one) for one in text)


def letter(rng: Random) -> str:
    """Write a short letter with news and a question."""
    reader, writer = words(rng, "names", 2)
    city = word(rng, "places")
    animal = word(rng, "animals")
    weather, mood = word(rng, "weathers"), word(rng, "moods")
    asked = rng.choice(
        [
            f"do you still have {_one(word(rng, 'tools'))} that I could borrow",
            f"would you like to come to {word(rng, 'places')} with me",
            f"can you tell me how to {word(rng, 'chores')}",
            f"have you ever seen {a(word(rng, 'animals'))}",
        ]
    )
    body = [
        sentence(f"it is {weather} here in {city}, and I am {mood}"),
        sentence(f"{word(rng, 'times')} I saw {a(animal)}"),
        sentence(f"{a(word(rng, 'jobs'))} told me that it eats {lexicon()['animals'][animal][2]}"),
        asked[0].upper() + asked[1:] + "?",
    ]
    close = rng.choice(["Yours", "With best wishes", "Until soon", "Kind regards"])
    return f"Dear {reader},\n\n{' '.join(body)}\n\n{close},\n{writer}"


def report(rng: Random) -> str:
    """Tell of a day's work in numbers that add up."""
    who, other = words(rng, "names", 2)
    thing = plural(word(rng, "foods"))
    first, second = rng.randint(2, 40), rng.randint(2, 40)
    sold = rng.randint(1, first + second)
    return " ".join(
        [
            sentence(f"in the morning {who} picked {first} {thing} and {other} picked {second}"),
            sentence(f"together they had {first + second} {thing}"),
            sentence(f"in the afternoon they sold {sold} of them"),
            sentence(f"that left {first + second - sold} for the evening"),
            sentence(f"the day was {word(rng, 'weathers')} and both were {word(rng, 'moods')}"),
        ]
    )


def talk(rng: Random) -> str:
    """Write down a talk between two people."""
    one, two = words(rng, "names", 2)
    name, (kind, where, food, known) = pick(rng, "animals")
    chore, steps = pick(rng, "chores")
    exchanges = [
        (f"What is {a(name)}?", f"It is {a(kind)} that lives {where}."),
        (f"What does {a(name)} eat?", f"It eats {food}."),
        (f"Why do people like the {name}?", f"I think for {known}."),
        (f"How do you {chore}?", sentence(f"first you {steps[0]}, and at last you {steps[-1]}")),
        (
            f"Where can I find {_one(tool := word(rng, 'tools'))}?",
            sentence(f"look {lexicon()['tools'][tool][0]}"),
        ),
    ]
    lines = []
    for question, answer in rng.sample(exchanges, rng.randint(2, 4)):
        lines += [f"{one}: {question}", f"{two}: {answer}"]
    lines.append(f"{one}: {rng.choice(['Thank you!', 'I see.', 'That is good to know.'])}")
    return "\n".join(lines)


def story(rng: Random) -> str:
    """Tell a story: somebody has a task, something is missing, somebody helps."""
    hero, helper = words(rng, "names", 2)
    job, (where, does, tool) = pick(rng, "jobs")
    chore, steps = pick(rng, "chores")
    adjective, opposite = rng.choice(list(lexicon()["opposites"].items()))
    tools = lexicon()["tools"]
    parts = [
        sentence(f"{word(rng, 'times')} {hero}, {a(job)}, went to work {where}"),
        _say(
            rng,
            f"the plan was to {does}, but the {tool} was nowhere to be found",
            f"somebody had taken the {tool}, and without it nobody can {does}",
        ),
        _say(
            rng,
            f"{hero} asked {helper}: have you seen my {tool}?",
            f"{hero} asked {helper} for help",
        ),
        _say(
            rng,
            f"{helper} had needed it to {tools[tool][1]} and gave it back at once",
            f"{helper} remembered that it lay {tools[word(rng, 'tools')][0]}",
        ),
        sentence(f"to say sorry, {helper} offered to {chore}"),
        sentence(f"they began to {steps[0]}, and in the end they had to {steps[-1]}"),
        _say(
            rng,
            f"what had looked {adjective} in the morning seemed {opposite} in the evening",
            f"both were {word(rng, 'moods')} when they went home",
        ),
    ]
    return " ".join(parts)


def weather_report(rng: Random) -> str:
    """Tell the weather of several cities."""
    lines = []
    for city in words(rng, "places", rng.randint(3, 5)):
        low = rng.randint(-8, 20)
        high = low + rng.randint(2, 12)
        lines.append(f"In {city} it is {word(rng, 'weathers')}, between {low} and {high} degrees.")
    return f"The weather {word(rng, 'times')}. " + " ".join(lines)


def word_lesson(rng: Random) -> str:
    """Explain words: opposites, plurals, past forms, translations."""
    known = lexicon()
    lines = []
    for kind, form in rng.sample(
        [
            ("opposites", "The opposite of {} is {}."),
            ("synonyms", "Another word for {} is {}."),
            ("plurals", "One {}, two {}."),
            ("past", "Today I {}; yesterday I {}."),
            ("french", "In French, {} is {}."),
            ("german", "In German, {} is {}."),
        ],
        3,
    ):
        for one in words(rng, kind, 3):
            lines.append(form.format(one, known[kind][one]))
    return " ".join(lines)


def shopping(rng: Random) -> str:
    """Tell what somebody buys, and what it is for."""
    who = word(rng, "names")
    bought = words(rng, "foods", rng.randint(3, 5))
    name = bought[0]
    kind, colour, taste, dish = lexicon()["foods"][name]
    return " ".join(
        [
            sentence(f"{who} writes a list: {listed(bought)}"),
            sentence(f"the {name} is for {dish}"),
            sentence(f"it should be {colour} and taste {taste}"),
            sentence(f"no other {kind} would do"),
        ]
    )


KINDS: tuple[Callable[[Random], str], ...] = (
    animal_entry,
    food_entry,
    job_entry,
    place_entry,
    directions,
    letter,
    report,
    talk,
    story,
    weather_report,
    word_lesson,
    shopping,
)
