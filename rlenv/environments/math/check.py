"""The checker of mathematical answers."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

from rlenv.core.reward import Reward
from rlenv.environments.math import worker
from rlenv.environments.math.answers import words
from rlenv.environments.math.answers.decide import STRICT, AnswerPolicy, AnswerVerdict
from rlenv.environments.math.answers.values import Tolerance
from rlenv.environments.math.extract import extract

LONGEST = 20_000  # characters of an answer
_LONGEST_QUESTION = 50_000  # characters that are searched for formulas
_PLAIN = re.compile(r"[+-]?(?:\d{1,400}|\d{1,3}(?:,\d{3}){1,20})(?:\.\d{1,400})?")
_FEW = 6  # digits from which a decimal may be a rounding, which the workers decide


def check_answer(
    reply: str,
    gold: str | int | float,
    *,
    tolerance: Tolerance | float | None = None,
    form: Literal["any", "evaluated"] = "any",
    question: str = "",
    last_number: bool = False,
    choices: Sequence[str] = (),
) -> Reward:
    r"""Judge a reply by its final answer.

    The answer is found by the rules of `rlenv.environments.math.extract` and compared by those of
    `rlenv.environments.math.answers.compare`. Plain numbers are compared here; everything else in a
    process that is killed after three seconds or at one gibibyte. No text is ever run as code.

    Args:
        reply: a policy's whole reply.
        gold: the true answer, a bare expression in LaTeX or plain notation.
        tolerance: how far numbers may lie from the gold answer's, a `Tolerance`, or a number for a
            relative one; by default not at all.
        form: `evaluated` for answers that must be worked out: `31 + 27 \cdot 58` is then no answer
            where the gold one is 1597.
        question: the task's text; with `form="evaluated"` its own formulas are no answers.
        last_number: whether the last number of a reply that states no answer is its answer.
        choices: the texts of a question's options. The gold answer is then one of them or its
            letter, and so may the answer be.

    Returns:
        1 or 0, with the component `correct`. `detail` says what was read, where it was found, which
        rule decided, and whether that was proved, refuted, or agreed at so many points. Status
        `unparseable`: the reply states no answer, or none that can be read; `timeout`: judging it
        went beyond the limits; `grader_error`: the gold answer can't be judged, which says nothing
        about the reply.

    Raises:
        ValueError: the tolerance is negative, or the form is unknown.

    Example:
        >>> check_answer(r"So it is \boxed{\frac{2}{4}}.", "0.5").value
        1.0
    """
    policy = _policy(tolerance, form, question)
    gold = str(gold).strip()
    if not gold:
        return Reward.failed("the gold answer is empty")
    if len(gold) > LONGEST:
        return Reward.failed(f"a gold answer of {len(gold)} characters")
    found = extract(reply, last_number=last_number)
    if found is None or not found.text:
        return Reward(0.0, {"correct": 0.0}, "unparseable", "no final answer")
    verdict = _choose(found.text, gold, choices, policy) if choices else None
    verdict = verdict or _decide(found.text, gold, policy)
    shown = " ".join(found.text[:400].split())
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    detail = f"read {shown} ({found.rule}); decided by: {verdict.rule}"
    if verdict.status == "grader_error":
        return Reward.failed(detail)
    right = float(verdict.right)
    return Reward(right, {"correct": right}, verdict.status, detail)


def _policy(tolerance: Tolerance | float | None, form: str, question: str) -> AnswerPolicy:
    if form not in ("any", "evaluated"):
        raise ValueError(f"form is {form!r}; it must be 'any' or 'evaluated'")
    if tolerance is None:
        tolerance = Tolerance()
    elif not isinstance(tolerance, Tolerance):
        tolerance = Tolerance(relative=float(tolerance))
    if min(tolerance) < 0:
        raise ValueError("tolerance is negative; its parts must be zero or larger")
    evaluated = form == "evaluated"
    return AnswerPolicy(tolerance, evaluated, question[:_LONGEST_QUESTION] if evaluated else "")


def _choose(
    answer: str, gold: str, choices: Sequence[str], policy: AnswerPolicy
) -> AnswerVerdict | None:
    """Compare by the options of a question; None where the answer names none of them by letter."""
    letters = [chr(ord("A") + n) for n in range(len(choices))]
    options = dict(zip(letters, choices, strict=True))
    right = words.choice(gold) if words.is_bare_choice(gold) and gold not in choices else None
    if right is None:
        matching = [name for name, text in options.items() if _decide(text, gold, STRICT).right]
        right = matching[0] if matching else None
    if right not in options:
        return AnswerVerdict(False, "the gold answer is no option", "grader_error")
    named = words.choice(answer) if answer not in choices else None
    if named is not None:
        return AnswerVerdict(named == right, "choice")
    return _decide(answer, options[right], policy)


def _decide(answer: str, gold: str, policy: AnswerPolicy) -> AnswerVerdict:
    if _PLAIN.fullmatch(answer) and _PLAIN.fullmatch(gold) and not any(policy.tolerance):
        verdict = _plain(answer, gold)
        if verdict is not None:
            return verdict
    if answer == gold:
        return AnswerVerdict(True, "same text")
    if len(gold) > LONGEST:
        return AnswerVerdict(False, f"a gold answer of {len(gold)} characters", "grader_error")
    if len(answer) > LONGEST:
        return AnswerVerdict(False, f"an answer of {len(answer)} characters", "timeout")
    verdict = worker.decide(answer, gold, policy=policy)
    if verdict.status == "timeout" and not _is_judgeable(gold):
        return AnswerVerdict(False, f"the gold answer: {verdict.rule}", "grader_error")
    return verdict


@functools.lru_cache(maxsize=4096)
def _is_judgeable(gold: str) -> bool:
    """Whether a gold answer can be compared with anything within the limits."""
    return all(worker.decide(plain, gold).status in ("ok", "unparseable") for plain in ("0", "x"))


def _plain(answer: str, gold: str) -> AnswerVerdict | None:
    """Compare plain numbers; None where rounding may play a part."""
    ours, theirs = answer.replace(",", ""), gold.replace(",", "")
    if "." not in ours and "." not in theirs:
        same = int(ours) == int(theirs)
        return AnswerVerdict(same, f"whole numbers, {'proved' if same else 'refuted'}")
    if Fraction(ours) == Fraction(theirs):
        return AnswerVerdict(True, "decimals, proved")
    few = max(len(ours), len(theirs)) < _FEW
    return AnswerVerdict(False, "decimals, refuted") if few else None
