"""The checker of mathematical answers."""

from __future__ import annotations

import re
from fractions import Fraction

from rlenv.core.reward import Reward
from rlenv.environments.math import worker
from rlenv.environments.math.answers.decide import AnswerVerdict
from rlenv.environments.math.extract import extract

LONGEST = 20_000  # characters of an answer
_PLAIN = re.compile(r"[+-]?(?:\d{1,400}|\d{1,3}(?:,\d{3}){1,20})(?:\.\d{1,400})?")
_FEW = 6  # digits from which a decimal may be a rounding, which the workers decide


def check_answer(reply: str, gold: str | int | float) -> Reward:
    r"""Judge a reply by its final answer.

    The answer is found by the rules of `rlenv.environments.math.extract` and compared by those of
    `rlenv.environments.math.answers.compare`. Plain numbers are compared here; everything else in a
    process that is killed after two seconds or at one gibibyte. No text is ever run as code.

    Args:
        reply: a policy's whole reply.
        gold: the true answer, a bare expression in LaTeX or plain notation.

    Returns:
        1 or 0, with the component `correct`. `detail` says what was read, where it was found and
        which rule decided. Status `unparseable`: the reply states no answer, or none that can be
        read; `timeout`: judging it went beyond the limits; `grader_error`: the gold answer can't
        be judged, which says nothing about the reply.

    Example:
        >>> check_answer(r"So it is \boxed{\frac{2}{4}}.", "0.5").value
        1.0
    """
    gold = str(gold).strip()
    if not gold:
        return Reward.failed("the gold answer is empty")
    found = extract(reply)
    if found is None or not found.text:
        return Reward(0.0, {"correct": 0.0}, "unparseable", "no final answer")
    verdict = _decide(found.text, gold)
    shown = " ".join(found.text[:400].split())
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    detail = f"read {shown} ({found.rule}); decided by: {verdict.rule}"
    if verdict.status == "grader_error":
        return Reward.failed(detail)
    right = float(verdict.right)
    return Reward(right, {"correct": right}, verdict.status, detail)


def _decide(answer: str, gold: str) -> AnswerVerdict:
    if _PLAIN.fullmatch(answer) and _PLAIN.fullmatch(gold):
        verdict = _plain(answer, gold)
        if verdict is not None:
            return verdict
    if answer == gold:
        return AnswerVerdict(True, "same text")
    if len(gold) > LONGEST:
        return AnswerVerdict(False, f"a gold answer of {len(gold)} characters", "grader_error")
    if len(answer) > LONGEST:
        return AnswerVerdict(False, f"an answer of {len(answer)} characters", "timeout")
    return worker.decide(answer, gold)


def _plain(answer: str, gold: str) -> AnswerVerdict | None:
    """Compare plain numbers; None where rounding may play a part."""
    ours, theirs = answer.replace(",", ""), gold.replace(",", "")
    if "." not in ours and "." not in theirs:
        return AnswerVerdict(int(ours) == int(theirs), "whole numbers")
    if Fraction(ours) == Fraction(theirs):
        return AnswerVerdict(True, "decimals")
    return AnswerVerdict(False, "decimals") if max(len(ours), len(theirs)) < _FEW else None
