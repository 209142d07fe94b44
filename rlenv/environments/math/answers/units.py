"""Units of measure: which words name them, and what converts into what."""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction

Unit = tuple[tuple[str, int], ...]

MULTIPLIERS = {
    "hundred": Fraction(10**2), "thousand": Fraction(10**3), "million": Fraction(10**6),
    "billion": Fraction(10**9), "trillion": Fraction(10**12), "dozen": Fraction(12),
    "percent": Fraction(1, 100), "pct": Fraction(1, 100), "percentage": Fraction(1, 100),
}  # fmt: skip
CURRENCY = {"$": "dollar", "€": "euro", "£": "pound", "¥": "yen", "₹": "rupee", "¢": "cent"}

_TABLE: dict[str, tuple[Fraction, Counter[str]]] = {}


def _define(names: str, factor: Fraction | int | str, **dimensions: int) -> None:
    for name in names.split():
        _TABLE[name] = (Fraction(factor), Counter(dimensions))


_define("m meter metre", 1, length=1)
_define("mm millimeter millimetre", "1/1000", length=1)
_define("cm centimeter centimetre", "1/100", length=1)
_define("dm decimeter decimetre", "1/10", length=1)
_define("km kilometer kilometre kms", 1000, length=1)
_define("um micrometer micron", "1/1000000", length=1)
_define("nm nanometer", "1/1000000000", length=1)
_define("inch in inche", "0.0254", length=1)
_define("ft foot feet", "0.3048", length=1)
_define("yd yard", "0.9144", length=1)
_define("mi mile", "1609.344", length=1)
_define("s sec second", 1, time=1)
_define("ms millisecond", "1/1000", time=1)
_define("min minute", 60, time=1)
_define("h hr hour", 3600, time=1)
_define("day", 86400, time=1)
_define("week wk", 604800, time=1)
_define("month mo", 1, month=1)
_define("year yr", 12, month=1)
_define("decade", 120, month=1)
_define("century", 1200, month=1)
_define("kg kilogram kilo", 1, mass=1)
_define("g gram", "1/1000", mass=1)
_define("mg milligram", "1/1000000", mass=1)
_define("t ton tonne", 1000, mass=1)
_define("lb lbs pound_mass", "0.45359237", mass=1)
_define("oz ounce", "0.028349523125", mass=1)
_define("l liter litre L", "1/1000", length=3)
_define("ml mL milliliter millilitre cc", "1/1000000", length=3)
_define("hectare ha", 10000, length=2)
_define("N newton", 1, mass=1, length=1, time=-2)
_define("J joule", 1, mass=1, length=2, time=-2)
_define("kJ kilojoule", 1000, mass=1, length=2, time=-2)
_define("W watt", 1, mass=1, length=2, time=-3)
_define("kW kilowatt", 1000, mass=1, length=2, time=-3)
_define("Pa pascal", 1, mass=1, length=-1, time=-2)
_define("kPa", 1000, mass=1, length=-1, time=-2)
_define("Hz hertz", 1, time=-1)
_define("kHz", 1000, time=-1)
_define("MHz", 10**6, time=-1)
_define("C coulomb", 1, charge=1)
_define("V volt", 1, volt=1)
_define("A amp ampere", 1, ampere=1)
_define("ohm", 1, ohm=1)
_define("K kelvin", 1, kelvin=1)
_define("mol mole", 1, mole=1)
_define("mph", "0.44704", length=1, time=-1)
_define("kph kmh", "5/18", length=1, time=-1)
_define("dollar usd USD buck", 1, dollar=1)
_define("cent penny pennie", "1/100", dollar=1)
_define("euro eur EUR", 1, euro=1)
_define("pound gbp GBP quid", 1, pound=1)
_define("yen", 1, yen=1)
_define("rupee", 1, rupee=1)
_define("degree deg", 1, degree=1)
_define("radian rad", 1, radian=1)
_define("unit", 1)

_POWERS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}
_SUFFIXES = {"squared": 2, "cubed": 3}
_FILLER = {"of", "the", "a", "an", "in", "total", "each", "about", "approximately"}
_WORD = re.compile(r"[A-Za-z]+|\^\{?-?\d\}?|[/*·.-]|\d|%")


def known(word: str) -> bool:
    """Whether a word names a unit."""
    return _singular(word) is not None


def _singular(word: str) -> str | None:
    for form in (word, word.lower()):
        if form in _TABLE:
            return form
        if len(form) > 2 and form.endswith("ies") and form[:-3] + "y" in _TABLE:
            return form[:-3] + "y"
        if len(form) > 2 and form.endswith("s") and form[:-1] in _TABLE:
            return form[:-1]
        if len(form) > 3 and form.endswith("es") and form[:-2] in _TABLE:
            return form[:-2]
    return None


def parse(text: str) -> Unit:
    """Read a phrase such as `square cm`, `m/s^2`, `meters per second` or `red apples`.

    Returns:
        Names with powers. A name that is no known unit is kept, in lower case and the singular.
    """
    powers: dict[str, int] = {}
    sign, pending, name = 1, 1, ""
    words = _WORD.findall(text)
    for place, word in enumerate(words):
        if word == "in" and _is_inch(words, place):
            word = "inch"
        if word in ("/", "per"):
            sign = -1
        elif word in ("*", "·", ".", "-"):
            continue
        elif word == "%":
            powers["%"] = 1
        elif word[0] == "^" or word.isdigit():
            power = int(word.strip("^{}"))
            if name:
                powers[name] += (abs(powers[name]) // powers[name] if powers[name] else 1) * (
                    power - 1
                )
        elif word.lower() in _POWERS:
            pending = _POWERS[word.lower()]
        elif word.lower() in _SUFFIXES:
            if name:
                powers[name] *= _SUFFIXES[word.lower()]
        elif word.lower() not in _FILLER:
            name = _singular(word) or _plain_singular(word.lower())
            powers[name] = powers.get(name, 0) + sign * pending
            pending = 1
    return tuple(sorted((n, p) for n, p in powers.items() if p))


def _is_inch(words: list[str], place: int) -> bool:
    """Whether `in` is a unit and no filler, as it is in `apples in total`."""
    before, after = words[place - 1] if place else "", words[place + 1 : place + 2]
    powered = after and (after[0][0] in "^/*·" or after[0].isdigit() or after[0] in _SUFFIXES)
    return bool(
        len(words) == 1
        or powered
        or before.lower() in _POWERS
        or before in ("/", "per", "*", "·")
        or words[place + 1 :] in (["."], ["per"])
    )


def _plain_singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def measure(unit: Unit) -> tuple[Fraction, frozenset[tuple[str, int]]] | None:
    """Return the factor to base units and the dimensions, or None for an unknown unit."""
    factor = Fraction(1)
    dimensions: Counter[str] = Counter()
    for name, power in unit:
        if name not in _TABLE:
            return None
        one, dims = _TABLE[name]
        factor *= one**power
        for dimension, exponent in dims.items():
            dimensions[dimension] += exponent * power
    return factor, frozenset((d, p) for d, p in dimensions.items() if p)


def is_angle(unit: Unit, name: str) -> bool:
    """Whether a unit is `degree` or `radian`, under any of its names."""
    found = measure(unit)
    return found is not None and found[1] == frozenset({(name, 1)})


def compatible(a: Unit, b: Unit) -> Fraction | None:
    """Return what a value in `a` is multiplied by to be in `b`; None if it can't be."""
    if a == b:
        return Fraction(1)
    first, second = measure(a), measure(b)
    if first is None or second is None:
        words = [{name for name, _ in unit} for unit in (a, b)]
        related = words[0] <= words[1] or words[1] <= words[0]
        return Fraction(1) if first is second is None and related else None
    if first[1] != second[1]:
        return None
    return first[0] / second[0]
