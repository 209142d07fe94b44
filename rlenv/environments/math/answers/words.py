"""Answers that are words: names, choices, yes and no, numbers and bounds spelled out."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

_UNITS = [
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_VALUES = {w: n for n, w in enumerate(_UNITS)} | {w: 10 * n for n, w in enumerate(_TENS, 2)}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}

_MONTHS = "january|february|march|april|may|june|july|august|september|october|november|december"
_ROMAN = re.compile(r"(?=..)M{0,3}(CM|CD|D?C{0,3})(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})")
_SIGNS = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_PHRASES = {
    "all real numbers": r"\mathbb{R}", "all reals": r"\mathbb{R}", "real numbers": r"\mathbb{R}",
    "positive infinity": r"\infty", "negative infinity": r"-\infty", "minus infinity": r"-\infty",
}  # fmt: skip
_PARTS = {"half": 2, "halve": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6}
_PARTS |= {"seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10}
_ORDINALS = {
    "first": "1st", "second": "2nd", "third": "3rd", "fourth": "4th", "fifth": "5th",
    "sixth": "6th", "seventh": "7th", "eighth": "8th", "ninth": "9th", "tenth": "10th",
    "eleventh": "11th", "twelfth": "12th",
}  # fmt: skip
_HEDGE = re.compile(
    r"(?:the )?(?:final )?answer(?: is|:)|approximately|approx\.?|about|around|roughly|exactly|"
    r"(?:that|it|this) is|equals|is",
    re.IGNORECASE,
)
_BOUND = re.compile(
    r"(?P<least>at least|no less than|no fewer than|greater than or equal to)"
    r"|(?P<most>at most|no more than|not more than|less than or equal to)"
    r"|(?P<above>more than|greater than)"
    r"|(?P<below>less than|fewer than)",
    re.IGNORECASE,
)
_BOUND_AFTER = re.compile(
    r"(?P<least>or more|or greater|or above|or higher|and above)"
    r"|(?P<most>or less|or fewer|or below)",
    re.IGNORECASE,
)
_RAYS = {
    "least": r"[%s,\infty)", "most": r"(-\infty,%s]",
    "above": r"(%s,\infty)", "below": r"(-\infty,%s)",
}  # fmt: skip
_CLOCK = re.compile(r"(\d{1,2})(?::(\d{2}))?\s*(?:([ap])m)?")
_EXCEPT = re.compile(r"all real(?: number|s)?s? (?:except|but|other than) (-?[\d/.]+)")
_WRAPPER = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox|operatorname)\b\s*")
_SAYINGS = {**_ORDINALS, "dne": "does not exist", "limit does not exist": "does not exist"}
_NOTHING = re.compile(r"no (?:real |integer )?solutions?|none|empty set")
_NAMED = r"(?:[Oo]ption\s+|[Cc]hoice\s+)?"
_CHOICE = re.compile(_NAMED + r"[\(\[]?([A-Ha-h])(?:[\)\].:]+|$)(?:\s.*)?", re.DOTALL)
_BARE_CHOICE = re.compile(_NAMED + r"[\(\[]?([A-Ha-h])[\)\]]?[.:]?")


def words(text: str) -> str:
    """Return words as they are compared: without markup, case, articles and punctuation."""
    text = unicodedata.normalize("NFKC", _WRAPPER.sub(" ", text))
    text = re.sub(r"\{([:,.])\}", r"\1", text)
    text = re.sub(r"\\[,;:! ]|\\quad|[{}$~]", " ", text)
    text = re.sub(r"\s+", " ", text)  # the patterns below take quadratic time on white space
    text = text.casefold().replace("\\", "")
    text = re.sub(r"(?<=[a-z])\.(?=[a-z]|\s|$)", "", text)
    text = re.sub(r"[\"'`*]", "", text)
    text = re.sub(r"\s*(?:,\s*and\b|,|\band\b)\s*", ", ", text)
    text = re.sub(r"\b(\d{1,2}):00(?=\s*[ap]m\b)", r"\1", text)
    text = re.sub(r"(?<=\d)(?=[ap]m\b)", " ", text)
    text = re.sub(
        rf"\b(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? ({_MONTHS})\b(?=\s*(\d{{4}})?)", r"\2 \1", text
    )
    text = re.sub(rf"({_MONTHS}) (\d{{1,2}})(?:st|nd|rd|th)?,? (?=\d{{4}}\b)", r"\1 \2, ", text)
    text = re.sub(r"\(([a-h])\)", r"\1", text)
    text = re.sub(r"\b(?:remainder|rem)\b", "r", text)
    text = re.sub(r"^\s*(?:the|an?)\s+", "", text)
    text = re.sub(r"\s+", " ", text).strip(" .,:;!?")
    text = _SAYINGS.get(text, text)
    return "no solution" if _NOTHING.fullmatch(text) else text


def without_markup(text: str) -> str:
    """Return the text of an answer that may stand in an upright font."""
    return re.sub(r"[{}$]", "", _WRAPPER.sub("", text)).strip()


def choice(text: str) -> str | None:
    r"""Return the letter of a choice such as `(C)`, `C. x = 42` or `\text{C}`, or None."""
    match = _CHOICE.fullmatch(without_markup(text))
    return match[1].upper() if match else None


def is_bare_choice(text: str) -> bool:
    """Whether a text is a choice's letter and nothing else."""
    return _BARE_CHOICE.fullmatch(without_markup(text)) is not None


def number(text: str) -> Fraction | None:
    """Return the number that the words spell, or None."""
    parts = [p for p in re.split(r"[\s,-]+", words(text)) if p and p != "and"]
    if not parts or len(parts) > 12:
        return None
    if parts[-1].rstrip("s") in _PARTS:
        if parts[0] in ("minus", "negative"):
            value = _with_part(parts[1:])
            return None if value is None else -value
        return _with_part(parts)
    return _whole(parts)


def _with_part(parts: list[str]) -> Fraction | None:
    """Return the number of `half`, `two thirds`, `three and a half`; None for `a quarter half`."""
    part = Fraction(1, _PARTS[parts[-1].rstrip("s")])
    before = parts[:-1]
    if before in ([], ["a"], ["one"]):
        return part if before or parts[-1] in ("half", "quarter") else None
    if before[-1] in ("a", "one"):
        whole = _whole(before[:-1])
        return None if whole is None else whole + part
    if len(before) == 1:
        times = _whole(before)
        return None if times is None else times * part
    times, whole = _whole(before[-1:]), _whole(before[:-1])
    return None if times is None or whole is None else whole + times * part


def _whole(parts: list[str]) -> Fraction | None:
    """Return the whole number that the words spell, or None."""
    if not parts:
        return None
    negative = parts[0] in ("minus", "negative")
    total = current = 0
    seen = False
    for part in parts[negative:]:
        if part in _VALUES:
            current += _VALUES[part]
        elif part == "hundred" and current:
            current *= 100
        elif part in _SCALES and current:
            total += current * _SCALES[part]
            current = 0
        else:
            return None
        seen = True
    value = total + current
    return Fraction(-value if negative else value) if seen else None


def clock(text: str) -> tuple[int, bool] | None:
    """Return a time of day in minutes and whether it says a.m. or p.m.; None for anything else."""
    match = _CLOCK.fullmatch(without_markup(text).replace(".", "").casefold())
    if not match:
        return None
    hour, minute, half = int(match[1]), int(match[2] or 0), match[3]
    if minute > 59 or (hour > 23 if not half else not 1 <= hour <= 12) or not (match[2] or half):
        return None
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    return 60 * hour + minute, bool(half)


def mathematics(text: str) -> str:
    """Return what a phrase means in signs, or the text as it is.

    `all real numbers`, `approximately 5`, `three and a half` and `4 or more` are read.
    """
    if len(text) >= 60 or not re.search(r"[A-Za-z]{2}", text):
        return text
    hedge = _HEDGE.match(text)
    if hedge and hedge.end() < len(text) and text[hedge.end()] in " \\$":
        text = text[hedge.end() :].strip(" $")
    said = without_markup(text)
    if re.fullmatch(r"[A-Za-z -]+", said):
        value = number(said)
        if value is not None:
            whole = value.denominator == 1
            return str(value) if whole else rf"\frac{{{value.numerator}}}{{{value.denominator}}}"
        return _PHRASES.get(words(text), text)
    before = _BOUND.match(said)
    if before:
        kind, bound = before.lastgroup, said[before.end() :]
    else:
        after = re.search(rf"\s+(?:{_BOUND_AFTER.pattern})$", said, re.IGNORECASE)
        kind, bound = (after.lastgroup, said[: after.start()]) if after else (None, "")
    if kind and re.fullmatch(r"\s*-?[\d.,/]*\d\s*", bound):
        return _RAYS[kind] % bound.strip()
    without = _EXCEPT.fullmatch(words(text))
    if without:
        return rf"\mathbb{{R}}\setminus\{{{without[1]}\}}"
    return _PHRASES.get(words(text), text)


def roman(text: str) -> int:
    """Return the value of a Roman numeral of two signs or more, or 0."""
    text = without_markup(text).strip(" .")
    if not _ROMAN.fullmatch(text):
        return 0
    values = [_SIGNS[sign] for sign in text]
    following = [*values[1:], 0]
    return sum(v if v >= after else -v for v, after in zip(values, following, strict=True))
