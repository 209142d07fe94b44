"""From two texts to a verdict, and the loop of a process that decides."""

from __future__ import annotations

import json
import re
import resource
import signal
import struct
import sys
from fractions import Fraction
from types import FrameType
from typing import Any, Literal, NamedTuple

from . import symbolic, words
from .compare import AnswerComparison
from .evaluated import is_evaluated
from .lexer import Style, plain
from .limits import TooLarge, Undefined, Unreadable
from .nodes import Node, Number, Several
from .normalize import stated
from .parser import parse
from .values import Tolerance

Status = Literal["ok", "unparseable", "timeout", "grader_error"]
_READINGS = (Style(thousands=True), Style(thousands=False))


class AnswerVerdict(NamedTuple):
    """What was decided about an answer.

    Attributes:
        right: whether it is the gold answer.
        rule: that decided.
        status: as in `rlenv.Reward`.
    """

    right: bool
    rule: str
    status: Status = "ok"


class AnswerPolicy(NamedTuple):
    """What a caller asks for beyond equality.

    Attributes:
        tolerance: how far numbers may lie from the gold answer's.
        evaluated: whether an answer that leaves more to do than the gold answer is wrong.
        question: with `evaluated`, the task's text, whose formulas are no answers either.
    """

    tolerance: Tolerance = Tolerance()
    evaluated: bool = False
    question: str = ""


STRICT = AnswerPolicy()


def decide(answer: str, gold: str, policy: AnswerPolicy = STRICT) -> AnswerVerdict:
    """Decide whether an answer is the gold answer.

    Args:
        answer: a final answer, without the reply around it.
        gold: the true answer.
        policy: what the caller asks for.
    """
    try:
        theirs = words.mathematics(stated(clean(gold)))
        golds = _read(theirs)
    except TooLarge as error:
        return AnswerVerdict(
            False, f"the gold answer is beyond the limits: {error}", "grader_error"
        )
    answers: list[Node] = []
    try:
        ours = words.mathematics(stated(clean(answer)))
        if ours == theirs:
            return AnswerVerdict(True, "same text")
        by_words = _by_words(ours, theirs)
        if by_words is not None:
            return by_words
        answers = _read(ours)
        if not golds or not answers:
            return _unread(ours, theirs, bool(golds), golds or answers)
        comparison = AnswerComparison(tolerance=policy.tolerance)
        for mine, true in _pairs(answers, golds):
            if not comparison.same(mine, true):
                continue
            evidence = comparison.evidence(True)
            if not comparison.holds_together(mine, true):
                return AnswerVerdict(False, "a chain of values that differ")
            if policy.evaluated and not is_evaluated(mine, true, policy.question):
                return AnswerVerdict(False, "the task restated, not worked out")
            return AnswerVerdict(True, evidence)
        for text, trees in ((ours, golds), (theirs, answers)):
            roman = words.roman(text)
            if roman and AnswerComparison().same(trees[0], Number(Fraction(roman))):
                return AnswerVerdict(True, "Roman numeral")
        return AnswerVerdict(False, comparison.evidence(False))
    except (Undefined, Unreadable) as error:
        return AnswerVerdict(False, f"no value: {error}", "unparseable")
    except TooLarge as error:
        if golds and answers and _too_large(golds[0]) and not any(map(_too_large, answers)):
            return AnswerVerdict(
                False, f"the gold answer is beyond the limits: {error}", "grader_error"
            )
        return AnswerVerdict(False, f"beyond the limits: {error}", "timeout")


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
            return _PAIRED.sub(r"\1", text) if _IN_DOLLARS.fullmatch(text) else text


# `$x = 1$ or $x = 2$`, but not `$5 and $6`
_PAIRED = re.compile(r"\$([^$]{1,400})\$(?![\w\\])")
_IN_DOLLARS = re.compile(r"(?:[^$\\]|\\[^$]|(?<![\w\\])\$[^$]{1,400}\$(?![\w\\])){1,4000}")


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


def _by_words(ours: str, theirs: str) -> AnswerVerdict | None:
    """Compare choices and plain words; None where that decides nothing."""
    if words.is_bare_choice(theirs) or words.is_bare_choice(ours):
        letters = words.choice(ours), words.choice(theirs)
        if letters[0] is not None and letters[0] == letters[1]:
            return AnswerVerdict(True, "same choice")
    pairs = [re.fullmatch(r"([CP])\(([^()]*)\)", text.replace(" ", "")) for text in (ours, theirs)]
    if pairs[0] and pairs[1]:  # two points with names, of which C(1,0) and C(2,0) are not one
        return AnswerVerdict(pairs[0][0] == pairs[1][0], "named pairs")
    times = words.clock(ours), words.clock(theirs)
    if times[0] and times[1] and (times[0][1] or times[1][1]):
        return AnswerVerdict(times[0][0] == times[1][0], "time of day")
    if any(re.fullmatch(r"\d+(?:st|nd|rd|th)", words.words(text)) for text in (ours, theirs)):
        return AnswerVerdict(words.words(ours) == words.words(theirs), "ordinal")
    first, second = words.without_markup(ours), words.without_markup(theirs)
    if all(re.fullmatch(r"[A-Za-z][A-Za-z' -]+", text) for text in (first, second)):
        mine, true = words.number(ours), words.number(theirs)
        if mine is not None and mine == true:
            return AnswerVerdict(True, "same number in words")
        if not any(text in ("pi", "inf", "infinity") for text in (first, second)):
            return AnswerVerdict(words.words(ours) == words.words(theirs), "words")
    return None


def _unread(ours: str, theirs: str, gold_read: bool, trees: list[Node]) -> AnswerVerdict:
    """Decide where one of the two, or neither, is mathematics."""
    if words.words(ours) == words.words(theirs):
        return AnswerVerdict(True, "same words")
    spelled = words.number(ours if gold_read else theirs)
    if trees == [Several((), braces=True)]:
        return AnswerVerdict(
            words.words(ours if gold_read else theirs) == "no solution", "no solution"
        )
    if trees and spelled is not None:
        same = AnswerComparison().same(trees[0], Number(Fraction(spelled)))
        return AnswerVerdict(same, "number in words")
    if gold_read:
        return AnswerVerdict(False, "no mathematics that can be read", "unparseable")
    return AnswerVerdict(False, "words")


def _too_large(gold: Node) -> bool:
    try:
        AnswerComparison().same(gold, Number(Fraction(0)))
    except TooLarge:
        return True
    except Undefined:
        return False
    return False


_LENGTH = struct.Struct("<I")


SECONDS = 3.0  # of processor time for one decision
READY = b"ready"
LOADING = b"loading"  # what follows is READY, when an import is done


def serve(memory: int) -> None:
    """Answer questions from standard input until it ends.

    Args:
        memory: bytes of address space that this process may have.
    """
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    # sympy is imported when it is first needed, which is not part of the time for a decision
    symbolic.before_import = lambda: _send(sink, LOADING)
    symbolic.after_import = lambda: _loaded(sink)
    _send(sink, READY)
    while header := source.read(_LENGTH.size):
        answer, gold, *policy = json.loads(source.read(_LENGTH.unpack(header)[0]))
        _send(sink, json.dumps(_decide_safely(answer, gold, _policy(policy))).encode())


def _policy(values: list[Any]) -> AnswerPolicy:
    tolerance, evaluated, question = values
    return AnswerPolicy(Tolerance(*tolerance), evaluated, question)


def _decide_safely(answer: str, gold: str, policy: AnswerPolicy) -> AnswerVerdict:
    def stop(number: int, frame: FrameType | None) -> None:
        raise TooLarge(f"more than {SECONDS:g} s of processor time")

    signal.signal(signal.SIGVTALRM, stop)
    _start_timer()
    try:
        return decide(answer, gold, policy)
    except TooLarge as error:
        return AnswerVerdict(False, f"beyond the limits: {error}", "timeout")
    except (MemoryError, RecursionError) as error:
        return AnswerVerdict(False, f"beyond the limits: {type(error).__name__}", "timeout")
    except Exception as error:  # noqa: BLE001 the process must live, and the caller must hear of it
        return AnswerVerdict(False, f"{type(error).__name__}: {error}"[:300], "grader_error")
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _start_timer() -> None:
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS, 0.1)  # again, where it is swallowed


def _loaded(sink: object) -> None:
    _start_timer()
    _send(sink, READY)


def _send(sink: object, data: bytes) -> None:
    sink.write(_LENGTH.pack(len(data)) + data)  # type: ignore[attr-defined]
    sink.flush()  # type: ignore[attr-defined]
