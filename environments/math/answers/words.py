"""Answers that are words: names, choices, yes and no, numbers spelled out."""

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
_DAY_FIRST = re.compile(rf"\b(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? ({_MONTHS})\b")
_DAY_YEAR = re.compile(rf"({_MONTHS}) (\d{{1,2}})(?:st|nd|rd|th)?,? (?=\d{{4}}\b)")
_PARTS = {"half": 2, "halve": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6}
_PARTS |= {"seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10}
_WRAPPER = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox|operatorname)\b\s*")
_NOTHING = re.compile(r"no (?:real |integer )?solutions?|none|empty set")
_NAMED = r"(?:[Oo]ption\s+|[Cc]hoice\s+)?"
_CHOICE = re.compile(_NAMED + r"[\(\[]?([A-Ha-h])(?:[\)\].:]+|$)(?:\s.*)?", re.DOTALL)
_BARE_CHOICE = re.compile(_NAMED + r"[\(\[]?([A-Ha-h])[\)\]]?[.:]?")


def words(text: str) -> str:
    """Return words as they are compared: without markup, case, articles and punctuation."""
    text = unicodedata.normalize("NFKC", _WRAPPER.sub(" ", text))
    text = re.sub(r"\{([:,.])\}", r"\1", text)
    text = re.sub(r"\\[,;:! ]|\\quad|[{}$~]", " ", text)
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
    text = re.sub(r"^\s*(?:the|an?)\s+", "", text)
    text = re.sub(r"\s+", " ", text).strip(" .,:;!?")
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
    if (
        len(parts) == 2
        and parts[1].rstrip("s") in _PARTS
        and (parts[0] in _VALUES or parts[0] == "a")
    ):
        return Fraction(_VALUES.get(parts[0], 1), _PARTS[parts[1].rstrip("s")])
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


def mathematics(text: str) -> str:
    """Return what a phrase such as `all real numbers` means, or the text as it is."""
    return _PHRASES.get(words(text), text) if len(text) < 60 else text


def roman(text: str) -> int:
    """Return the value of a Roman numeral of two signs or more, or 0."""
    text = without_markup(text).strip(" .")
    if not _ROMAN.fullmatch(text):
        return 0
    values = [_SIGNS[sign] for sign in text]
    following = [*values[1:], 0]
    return sum(v if v >= after else -v for v, after in zip(values, following, strict=True))
