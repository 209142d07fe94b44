"""Comparisons of two replies, in which which one is better depends on the prompt.

A rejected reply is mostly one that would be right elsewhere: the answer to another request of the
same kind, a manner that was not asked for, the wrong person's name. What can be seen without the
prompt, such as rudeness, decides a minority of the pairs, so a reward model has to read both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from rlenv.data.generated.instructions import SKILLS, exchange
from rlenv.data.generated.lexicon import a, sentence, word, words


@dataclass(frozen=True)
class Comparison:
    """A prompt with two replies.

    Attributes:
        prompt: the request.
        chosen: the better reply.
        rejected: the worse one.
        flaw: what is wrong with the worse one.
    """

    prompt: str
    chosen: str
    rejected: str
    flaw: str


# how a reply may be asked for, and what it then looks like; the reply itself is put into `{}`
_MANNERS: dict[str, tuple[str, Callable[[str, str], str]]] = {
    "plain": ("", lambda reply, core: reply),
    "short": (" Answer as briefly as you can.", lambda reply, core: sentence(core)),
    "capitals": (" Answer in capital letters.", lambda reply, core: reply.upper()),
    "polite": (
        " Please be polite.",
        lambda reply, core: f"With pleasure. {reply} Please ask again whenever you like.",
    ),
    "quoted": (" Put your answer in quotation marks.", lambda reply, core: f'"{reply}"'),
    "sure": (" Begin with the word yes.", lambda reply, core: f"Yes. {reply}"),
}
_LONG = ("describe", "how_to", "list", "note", "use_word")  # what no single word answers
_RUDE = ("What a silly question.", "Find it out yourself.", "Not again.", "Who cares?")


def instruction_pair(rng: Random) -> Comparison:
    """Compare two replies to a request: the right one in the manner asked for, and a flawed one."""
    found = exchange(rng)
    manners = [name for name in _MANNERS if name != "short" or found.skill not in _LONG]
    manner = rng.choice(manners)
    asked, form = _MANNERS[manner]
    chosen = form(found.reply, found.core)
    flaw = rng.choice(["wrong", "wrong", "manner", "manner", "elsewhere", "rude"])
    if flaw == "wrong":
        rejected = _other(rng, found.skill, chosen, form)
    elif flaw == "manner":
        other = rng.choice([name for name in manners if name != manner])
        rejected = _MANNERS[other][1](found.reply, found.core)
    elif flaw == "elsewhere":
        rejected = _other(rng, rng.choice(list(SKILLS)), chosen, form)
    else:
        rejected = form(f"{rng.choice(_RUDE)} {found.reply}", found.core)
    if rejected == chosen:  # such as a word that is the whole reply
        flaw, rejected = "wrong", _other(rng, found.skill, chosen, form)
    return Comparison(found.prompt + asked, chosen, rejected, flaw)


def _other(rng: Random, skill: str, chosen: str, form: Callable[[str, str], str]) -> str:
    while True:
        another = exchange(rng, skill)
        made = form(another.reply, another.core)
        if made != chosen:
            return made


def courtesy_pair(rng: Random) -> Comparison:
    """Compare two answers to somebody who asks for something: accept or decline it, kindly."""
    asker, other = words(rng, "names", 2)
    accept = rng.random() < 0.5
    what, wanted, does = _request(rng)
    order = "Accept." if accept else "Decline."
    prompt = f"{asker} asks: {what} {order}"
    chosen = _answer(rng, asker, wanted, does, accept=accept)
    flaw = rng.choice(["name", "thing", "decision", "rude", "curt"])
    if flaw == "name":
        rejected = _answer(rng, other, wanted, does, accept=accept)
    elif flaw == "thing":
        wrong = wanted
        while wrong == wanted:
            _, wrong, does = _request(rng)
        rejected = _answer(rng, asker, wrong, does, accept=accept)
    elif flaw == "decision":
        rejected = _answer(rng, asker, wanted, does, accept=not accept)
    elif flaw == "rude":
        rejected = f"{rng.choice(_RUDE)} {sentence(wanted)}"
    else:
        rejected = "Yes." if accept else "No."
    return Comparison(prompt, chosen, rejected, flaw)


def _request(rng: Random) -> tuple[str, str, str]:
    """Return what is asked, the thing that it is about, and what would be done."""
    kind = rng.randrange(4)
    if kind == 0:
        thing = word(rng, "tools")
        return f"Can you lend me the {thing}?", f"the {thing}", "lend you"
    if kind == 1:
        thing = word(rng, "foods")
        return f"Could you bring some {thing} tonight?", f"the {thing}", "bring you"
    if kind == 2:
        city = word(rng, "places")
        return f"Will you come to {city} with me?", f"the trip to {city}", "join you for"
    animal = word(rng, "animals")
    return f"May I show you {a(animal)}?", f"the {animal}", "look with you at"


def _answer(rng: Random, who: str, wanted: str, does: str, *, accept: bool) -> str:
    if accept:
        begin = rng.choice(["With pleasure", "Of course", "Gladly", "Yes, I would love to"])
        end = rng.choice(["Thank you for asking.", "It will be a pleasure.", "See you soon."])
        return f"{begin}, {who}. I will {does} {wanted}. {end}"
    begin = rng.choice(["I am sorry", "I am afraid not", "Unfortunately not"])
    end = rng.choice(["I hope you understand.", "Please ask me again.", "Thank you for asking."])
    return f"{begin}, {who}. I can't {does} {wanted} today. {end}"
