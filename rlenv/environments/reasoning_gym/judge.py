r"""Judging a reply to a reasoning-gym item, strictly.

The library's own scorers give credit for a right answer found somewhere inside a longer one, and
several run the reply as Python. Here the final answer is taken out of the reply by a stated rule,
and then either equals the item's answer, or has the family's form and the family's scorer gives
it the full mark. A scorer never sees text that is not of its form.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from rlenv import parsing

EXTRACT = ("tags", "boxed", "whole")
HOW_TO_ANSWER = {
    "tags": "\n\nGive your final answer between <answer> and </answer>.",
    "boxed": "\n\nGive your final answer in \\boxed{}.",
    "whole": "",
}
_TAGS = re.compile(r"<answer>((?:(?!</?answer>).)*)</answer>", re.DOTALL)


def extract(reply: str, rule: str) -> str | None:
    r"""Return the final answer of a reply, or None where it states none or several.

    Args:
        reply: a policy's whole reply.
        rule: `tags`: the content of the one `<answer>...</answer>`; `boxed`: of the last
            `\boxed{}`; `whole`: the reply itself.
    """
    if rule == "tags":
        found = _TAGS.findall(reply)
        single = len(found) == 1 and reply.count("<answer>") == reply.count("</answer>") == 1
        answer = found[0] if single else ""
    elif rule == "boxed":
        answer = parsing.boxed(reply) or ""
    else:
        answer = reply
    return _tidy(answer) or None


def wrap(answer: str, rule: str) -> str:
    """Return a reply that states the answer by the rule."""
    if rule == "tags":
        return f"<answer>{answer}</answer>"
    return f"\\boxed{{{answer}}}" if rule == "boxed" else answer


def _tidy(text: str) -> str:
    """Drop what can't be seen: space at the ends of lines and of the text."""
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


# Families with several right answers, or several ways to write the right one: their scorer
# judges what is of this form.
NUMBER = r"[-+]?(?:\d{1,160}|\d{1,3}(?:,\d{3}){1,50})(?:\.\d{1,40})?(?:[eE][-+]?\d{1,3})?"
_STEP = r"Move disk \d{1,3} from Peg \d{1,3} to Peg \d{1,3}"
FORMS = {
    "advanced_geometry": rf"{NUMBER}°?|\({NUMBER}, ?{NUMBER}\)",
    "bitwise_arithmetic": r"-?0x[0-9a-fA-F]+",
    "complex_arithmetic": r"[-+]?[\d.]+(?: ?[-+] ?[\d.]+i)?|[-+]?[\d.]+i",
    "cryptarithm": r"(?!.*([A-Z]) ?=.*\1)[A-Z] ?= ?\d(?:, ?[A-Z] ?= ?\d){0,9}",
    "decimal_arithmetic": NUMBER,
    "fraction_simplification": (
        r"(?:\$(?=.*\$$))?(?:-?\d+ ?/ ?-?\d+|\\d?frac ?\{-?\d+\} ?\{-?\d+\})\$?"
    ),
    "graph_color": r"\{[\d\s\",:]*\}",
    "group_anagrams": r"\[[\w\s\",\[\]]*\]",
    "jugs": r"\[[\w\s\",>-]*\]",
    "kakurasu": r"[01](?:[ \n][01])*",
    "n_queens": r"[Q_](?:[ \n][Q_])*",
    "number_format": NUMBER,
    "palindrome_generation": r"[a-z]+",
    "palindrome_partitioning": r"\[[\w\s\",\[\]]*\]",
    "pool_matrix": r"-?[\d.]+(?:[ \n]-?[\d.]+)*",
    "power_function": NUMBER,
    "prime_factorization": r"\d{1,20}(?: ?× ?\d{1,20})*",
    "quantum_lock": r"[ABC](?: ?→ ?[ABC])*",
    "rubiks_cube": r"[UDLRFB]'?(?: [UDLRFB]'?)*",
    "shortest_path": r"infeasible|(?:up|down|left|right)(?: (?:up|down|left|right))*",
    "sokoban": r"[LRUD]+",
    "tower_of_hanoi": rf"{_STEP}(?:\n{_STEP})*",
    "word_ladder": r"[A-Z]+(?:, ?[A-Z]+)+",
}

# The text of the answer, but capitals and small letters are the same.
ANY_CASE = {
    "calendar_arithmetic",
    "color_cube_rotation",
    "dice",
    "family_relationships",
    "figlet_font",
    "needle_haystack",
    "tsumego",
    "zebra_puzzles",
}


def _same_text(answer: str, gold: str, metadata: Mapping[str, Any]) -> bool:
    return answer == gold


def _same_in_any_case(answer: str, gold: str, metadata: Mapping[str, Any]) -> bool:
    return answer.casefold() == gold.casefold()


def _same_number(answer: str, gold: str, metadata: Mapping[str, Any]) -> bool:
    return number(answer) is not None and number(answer) == number(gold)


def _same_json(answer: str, gold: str, metadata: Mapping[str, Any]) -> bool:
    return bool(json.loads(answer) == json.loads(gold))


def _same_probability(answer: str, gold: str, metadata: Mapping[str, Any]) -> bool:
    """Within a ten-thousandth of the exact value; the scorer's tolerance reaches down to 0."""
    if not re.fullmatch(r"\d{1,30}/\d{1,30}|\d{0,30}\.?\d{1,60}(?:e-\d{1,3})?", answer):
        return False
    exact = Fraction(metadata["rational"]["numerator"], metadata["rational"]["denominator"])
    return abs(Fraction(answer) - exact) <= exact / 10_000


def _same_roots(answer: str, gold: str, metadata: Mapping[str, Any]) -> bool:
    """As many roots, each within the rounding asked for; the scorer never quite reaches 1."""
    ours, theirs = (sorted(_numbers(text)) for text in (answer, gold))
    close = all(abs(a - b) <= Decimal("0.0001") for a, b in zip(ours, theirs, strict=False))
    return len(ours) == len(theirs) and close


def _same_sorting(answer: str, gold: str, metadata: Mapping[str, Any]) -> bool:
    """The same numbers in the same order; the scorer lets each be wrong by 1."""
    pattern = (
        r"\[('-?[\d.]{1,30}', ?)*'-?[\d.]{1,30}'\]|\[(\"-?[\d.]{1,30}\", ?)*\"-?[\d.]{1,30}\"\]"
    )
    if not re.fullmatch(pattern, answer):
        return False
    return _numbers(re.sub(r"[\[\]'\"]", "", answer)) == _numbers(re.sub(r"[\[\]'\"]", "", gold))


def _same_people(answer: str, gold: str, metadata: Mapping[str, Any]) -> bool:
    """Each person once, in the order asked for; the scorer takes repetitions."""

    def plain(text: str) -> str:
        return re.sub(r"\ban\b", "a", text.casefold().rstrip("."))

    return plain(answer) == plain(gold)


def _makes_target(answer: str, gold: str, metadata: Mapping[str, Any]) -> bool:
    """Uses each number of the task once and makes the target (24 where none is named).

    The library hands the reply to sympy, which runs it; and its scorer of puzzle24 takes any
    four small numbers.
    """
    found = parsing.expression(answer)
    if found.value is None:
        raise ValueError(f"not an arithmetic expression: {found.problem}")
    used_once = sorted(found.numbers) == sorted(metadata["numbers"])
    return used_once and found.value == metadata.get("target", 24)


RULES: dict[str, Callable[[str, str, Mapping[str, Any]], bool]] = {
    **dict.fromkeys(ANY_CASE, _same_in_any_case),
    **dict.fromkeys(
        ("basic_arithmetic", "chain_sum", "decimal_chain_sum", "gsm_symbolic", "products"),
        _same_number,
    ),
    "coin_flip": _same_probability,
    "countdown": _makes_target,
    "game_of_life": _same_json,
    "knights_knaves": _same_people,
    "number_sorting": _same_sorting,
    "polynomial_equations": _same_roots,
    "puzzle24": _makes_target,
}


def longest(gold: str) -> int:
    """Return how long an answer may be, in characters; longer ones are not looked at."""
    return 8 * len(gold) + 200


def judge(
    family: str,
    answer: str,
    gold: str,
    metadata: Mapping[str, Any],
    scorer: Callable[[str], float],
) -> tuple[bool, float, str | None]:
    """Judge a final answer.

    Args:
        family: of the item.
        answer: what `extract` found.
        gold: the item's own answer.
        metadata: of the item.
        scorer: the family's scorer; called only if the answer has the family's form.

    Returns:
        Whether the answer is right; what the family's scorer gave (0 or 1 where it was not
        asked); and why the answer could not be read, or None.
    """
    if len(answer) > longest(gold):
        return False, 0.0, f"an answer of {len(answer)} characters"
    try:
        if family not in FORMS:
            right = RULES.get(family, _same_text)(answer, _tidy(gold), metadata)
            return right, float(right), None
        if not re.fullmatch(FORMS[family], answer):
            return False, 0.0, "not of the form that the task asks for"
        mark = float(scorer(answer))
    except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
        # the item's own answer passes, so that is the reply's doing
        return False, 0.0, f"{type(error).__name__}: {error}"
    return mark == 1.0, mark, None


def number(text: str) -> Decimal | None:
    """Return the number that a text is, or None."""
    return Decimal(text.replace(",", "")) if re.fullmatch(NUMBER, text) else None


def _numbers(text: str) -> list[Decimal]:
    found = [number(part.strip()) for part in text.split(",")]
    if None in found:
        raise ValueError("not a list of numbers")
    return [n for n in found if n is not None]
