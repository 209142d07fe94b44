"""From two texts to a verdict."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Literal, NamedTuple

from . import words
from .compare import Comparison
from .errors import TooLarge, Undefined, Unreadable
from .families import stated
from .lexer import Style, plain
from .nodes import Node, Number, Several
from .parser import parse

Status = Literal["ok", "unparseable", "timeout", "grader_error"]
_READINGS = (Style(thousands=True), Style(thousands=False))


class Verdict(NamedTuple):
    """What was decided about an answer.

    Attributes:
        right: whether it is the gold answer.
        rule: that decided.
        status: as in `rlenv.Reward`.
    """

    right: bool
    rule: str
    status: Status = "ok"


def decide(answer: str, gold: str) -> Verdict:
    """Decide whether an answer is the gold answer.

    Args:
        answer: a final answer, without the reply around it.
        gold: the true answer.
    """
    try:
        theirs = words.mathematics(stated(clean(gold)))
        golds = _read(theirs)
    except TooLarge as error:
        return Verdict(False, f"the gold answer is beyond the limits: {error}", "grader_error")
    answers: list[Node] = []
    try:
        ours = words.mathematics(stated(clean(answer)))
        if ours == theirs:
            return Verdict(True, "same text")
        by_words = _by_words(ours, theirs)
        if by_words is not None:
            return by_words
        answers = _read(ours)
        if not golds or not answers:
            return _unread(ours, theirs, bool(golds), golds or answers)
        comparison = Comparison()
        for mine, true in _pairs(answers, golds):
            if comparison.same(mine, true):
                return Verdict(True, comparison.rule)
        for text, trees in ((ours, golds), (theirs, answers)):
            roman = words.roman(text)
            if roman and Comparison().same(trees[0], Number(Fraction(roman))):
                return Verdict(True, "Roman numeral")
        return Verdict(False, comparison.rule)
    except (Undefined, Unreadable) as error:
        return Verdict(False, f"no value: {error}", "unparseable")
    except TooLarge as error:
        if golds and answers and _too_large(golds[0]) and not any(map(_too_large, answers)):
            return Verdict(False, f"the gold answer is beyond the limits: {error}", "grader_error")
        return Verdict(False, f"beyond the limits: {error}", "timeout")


def clean(text: str) -> str:
    """Return a text without what surrounds an answer: dollar signs, a full stop, white space."""
    text = plain(text)
    while True:
        before = text
        text = text.strip().rstrip("." if not text.endswith("...") else "").strip()
        for opening, closing in (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]")):
            inside = text[len(opening) : -len(closing)]
            if (
                text.startswith(opening)
                and text.endswith(closing)
                and len(text) > len(opening + closing)
                and opening not in inside
            ):
                text = inside
        if text == before:
            return text


def _read(text: str) -> list[Node]:
    """Return the trees that a text can be read as, the likeliest first."""
    found: list[Node] = []
    for style in _READINGS:
        if not style.thousands and not re.search(r"\d,\d{3}", text):
            continue
        try:
            tree = parse(text, style)
        except Unreadable:
            continue
        if tree not in found:
            found.append(tree)
    return found


def _pairs(answers: list[Node], golds: list[Node]) -> list[tuple[Node, Node]]:
    """Pair readings of the same kind: grouped digits are not a list of numbers as well."""
    return (
        list(zip(answers, golds, strict=False))
        if len(answers) == len(golds)
        else [(a, g) for a in answers for g in golds]
    )


def _by_words(ours: str, theirs: str) -> Verdict | None:
    """Compare choices and plain words; None where that decides nothing."""
    if words.is_bare_choice(theirs) or words.is_bare_choice(ours):
        letters = words.choice(ours), words.choice(theirs)
        if letters[0] is not None and letters[0] == letters[1]:
            return Verdict(True, "same choice")
    pairs = [re.fullmatch(r"([CP])\(([^()]*)\)", text.replace(" ", "")) for text in (ours, theirs)]
    if pairs[0] and pairs[1]:  # two points with names, of which C(1,0) and C(2,0) are not one
        return Verdict(pairs[0][0] == pairs[1][0], "named pairs")
    times = words.clock(ours), words.clock(theirs)
    if times[0] and times[1] and (times[0][1] or times[1][1]):
        return Verdict(times[0][0] == times[1][0], "time of day")
    if any(re.fullmatch(r"\d+(?:st|nd|rd|th)", words.words(text)) for text in (ours, theirs)):
        return Verdict(words.words(ours) == words.words(theirs), "ordinal")
    first, second = words.without_markup(ours), words.without_markup(theirs)
    if all(re.fullmatch(r"[A-Za-z][A-Za-z' -]+", text) for text in (first, second)):
        mine, true = words.number(ours), words.number(theirs)
        if mine is not None and mine == true:
            return Verdict(True, "same number in words")
        if not any(text in ("pi", "inf", "infinity") for text in (first, second)):
            return Verdict(words.words(ours) == words.words(theirs), "words")
    return None


def _unread(ours: str, theirs: str, gold_read: bool, trees: list[Node]) -> Verdict:
    """Decide where one of the two, or neither, is mathematics."""
    if words.words(ours) == words.words(theirs):
        return Verdict(True, "same words")
    spelled = words.number(ours if gold_read else theirs)
    if trees == [Several((), braces=True)]:
        return Verdict(words.words(ours if gold_read else theirs) == "no solution", "no solution")
    if trees and spelled is not None:
        same = Comparison().same(trees[0], Number(Fraction(spelled)))
        return Verdict(same, "number in words")
    if gold_read:
        return Verdict(False, "no mathematics that can be read", "unparseable")
    return Verdict(False, "words")


def _too_large(gold: Node) -> bool:
    try:
        Comparison().same(gold, Number(Fraction(0)))
    except TooLarge:
        return True
    except Undefined:
        return False
    return False
