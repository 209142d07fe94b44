"""Do known ways to earn a reward without solving the task work here?

Two families. *Blind* attempts hold nothing that only a solver knows, so they must stay at the
floor, except where one happens to state the right answer. *Listings* name the right answer among
wrong ones. A grader that reads one agreed place, the last box say, may find the right answer
there: that is a guess like any other. A listing is gaming where it pays wherever the right answer
stands, since then nobody has to know which it is. So the right answer is put first, in the middle
and last: it must not count in the middle, nor both first and last.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rlenv import parsing
from rlenv.conformance import attempts
from rlenv.conformance.env_under_test import (
    EnvUnderTest,
    Episode,
    Policy,
    always,
    gold,
    play,
    scripted,
    shown,
)
from rlenv.conformance.replies import EPSILON, gold_count
from rlenv.conformance.suite import Clock, Failure
from rlenv.core.env import TextEnv

ECHO = "the prompt echoed back"
LISTING = "several answers at once, the right one among them,"
_COPYING = 0.9  # a task whose question is its answer this often is meant to be one

_FIXES = {
    ECHO: "leave tasks whose question is their own answer out of generate()",
    LISTING: "accept one stated answer, in one place; rlenv.parsing says in Match.problems where a "
    "reply gives conflicting ones",
    attempts.FORMULA: "judge with check_answer(..., form='evaluated', question=...), or leave out "
    "tasks whose formula is its own answer",
    attempts.FORMAT: "give nothing for the right form around no answer, or gate the format with "
    "the correctness in the rubric",
}
_FIX = (
    "judge only the parsed answer, compared with the task's own; nothing else in the reply counts"
)


@dataclass
class _Tally:
    """How often a kind of attempt paid."""

    tasks: int = 0
    value: float = 0.0
    example: str = ""
    partly: bool = True  # only by echoing the part of the prompt that varies

    def add(self, value: float, reply: str, opening: str, part: bool) -> None:
        self.tasks += 1
        self.partly &= part
        if value > self.value or not self.example:
            self.value, self.example = value, f"{shown(reply)} to {shown(opening)}"


def gaming(under_test: EnvUnderTest) -> str:
    """No known gaming attempt scores."""
    env = under_test.make()
    floor = under_test.floor
    vary = _varying_part(under_test)
    experts = _expert_replies(under_test)
    tallies: dict[str, _Tally] = {}
    clock = Clock(under_test.settings.seconds)
    count = tried = 0
    for seed in under_test.seeds(under_test.settings.tasks):
        if not clock.within(count):
            break
        count += 1
        best = play(env, gold, seed=seed)
        question = "\n".join(str(message["content"]) for message in best.task.prompt)
        paid: set[str] = set()
        candidates = [(ECHO, reply, False) for reply in attempts.echoes(best.task.question)]
        candidates += [(ECHO, question, False)]
        candidates += [(ECHO, reply, True) for reply in vary(best.task.question)]
        candidates += [(kind, reply, False) for kind, reply in attempts.blind(best)]
        formulas = attempts.formulas(best.task.question)
        candidates += [(attempts.FORMULA, formula, False) for formula in formulas]
        # a form may earn something by itself: a formula pays where it earns more than nonsense
        wrong = _value(env, always(attempts.WRONG_BOX), seed) if formulas else floor
        for kind, reply, part in candidates:
            tried += 1
            if kind in paid or (kind != ECHO and _states_the_same(reply, best)):
                continue
            value = _value(env, always(reply), seed)
            least = max(floor, wrong) if kind == attempts.FORMULA else floor
            if value > least + EPSILON:
                paid.add(kind)
                tallies.setdefault(kind, _Tally()).add(value, reply, best.opening, part)
        if experts and best.value >= env.solved_at - EPSILON:
            number, found = _listings(env, seed, best, experts, floor)
            tried += number
            if found is not None:
                tallies.setdefault(LISTING, _Tally()).add(*found, best.opening, False)
    copying = tallies.get(ECHO)
    note = ""
    if copying is not None and copying.partly and copying.tasks >= _COPYING * count:
        del tallies[ECHO]
        note = "; copying from the question is the task"
    if tallies:
        found_ways = "; ".join(
            f"{kind} scored {tally.value:.3g} on {tally.tasks} of {count} tasks, {tally.example}"
            for kind, tally in tallies.items()
        )
        raise Failure(found_ways, "; ".join(dict.fromkeys(_FIXES.get(k, _FIX) for k in tallies)))
    without = "" if gold_count(under_test) else "; no listings, as there is no gold reply"
    return f"{tried:,} attempts on {count} tasks, none scored{note}{without}"


def _value(env: TextEnv, policy: Policy, seed: int) -> float:
    """Return what an episode earned; NaN, which beats nothing, where its grader failed."""
    try:
        return play(env, policy, seed=seed).value
    except Exception:  # noqa: BLE001 the check of worthless replies is about this
        return float("nan")


def _listings(
    env: TextEnv, seed: int, best: Episode, experts: Sequence[str], floor: float
) -> tuple[int, tuple[float, str] | None]:
    """Put the right answer among wrong ones, at the last turn of a solved episode and at once.

    Returns:
        How many listings were tried, and the value and text of one that paid, if any did.
    """
    tried = 0
    for before in [best.replies[:-1], []][: len(best.replies)]:
        number, found = _listings_after(before, env, seed, best, experts, floor)
        tried += number
        if found is not None:
            return tried, found
    return tried, None


def _listings_after(
    before: list[str],
    env: TextEnv,
    seed: int,
    best: Episode,
    experts: Sequence[str],
    floor: float,
) -> tuple[int, tuple[float, str] | None]:
    """Put the right answer among wrong ones after these replies."""
    right = best.replies[-1]

    def earns(reply: str) -> float:
        return _value(env, scripted([*before, reply], then=reply), seed)

    wrong: list[str] = []
    limit = floor  # or what a wrong answer in the right form earns anyway
    for reply in experts:
        if _normal(reply) in ("", _normal(right)):
            continue
        value = earns(reply)
        if value < best.value - EPSILON:
            wrong.append(reply)
            limit = max(limit, value)
        if len(wrong) == 2:
            break
    if not wrong:
        return 0, None
    limit += EPSILON
    one, other = wrong[0], wrong[-1]
    number = 0
    for form in attempts.listings(right):
        number += 3
        middle = form([one, right, other])
        if (value := earns(middle)) > limit:
            return number, (value, middle)
        first = form([right, one, other])
        if (value := earns(first)) > limit and earns(form([one, other, right])) > limit:
            return number, (value, first)
    return number, None


def _expert_replies(under_test: EnvUnderTest) -> list[str]:
    """Return different last replies of the expert: wrong answers, to other tasks."""
    if not gold_count(under_test):
        return []
    env = under_test.make()
    replies = (play(env, gold, seed=seed).replies[-1] for seed in under_test.seeds(12))
    return list(dict.fromkeys(replies))


def _varying_part(under_test: EnvUnderTest) -> Callable[[str], list[str]]:
    """Learn the words that begin and end every question, and return what cuts them off."""
    env = under_test.make()
    questions = set()
    for seed in under_test.seeds(50):
        env.reset(seed=seed)
        assert env.task is not None
        questions.add(env.task.question)
    if len(questions) < 5:
        return lambda question: []  # what varies is not in the question
    split = [re.findall(r"\S+\s*", question) for question in questions]
    shortest = min(map(len, split))
    head = tail = 0
    while head < shortest and len({words[head].strip() for words in split}) == 1:
        head += 1
    while head + tail < shortest and len({words[-1 - tail].strip() for words in split}) == 1:
        tail += 1

    def vary(question: str) -> list[str]:
        words = re.findall(r"\S+\s*", question)
        part = "".join(words[head : len(words) - tail]).strip()
        return list(dict.fromkeys([part, part.strip(string.punctuation + " ")])) if part else []

    return vary


def _states_the_same(reply: str, best: Episode) -> bool:
    """Return whether an attempt happens to state what the expert states."""
    mine = _stated(reply)
    return any(mine & _stated(other) for other in best.replies)


def _stated(reply: str) -> set[str]:
    finds = [
        parsing.last_boxed(reply),
        parsing.hashes(reply),
        parsing.answer(reply),
        parsing.code(reply),
    ]
    texts = {reply, *(found.text for found in finds if found is not None)}
    number = parsing.integer(reply)
    return {_normal(text) for text in texts if _normal(text)} | (
        set() if number is None else {str(number)}
    )


def _normal(text: str) -> str:
    return " ".join(text.split()).strip(" .").casefold()
