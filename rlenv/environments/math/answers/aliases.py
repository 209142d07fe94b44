r"""Aliases: spellings of numbers and units that become plain LaTeX before tokens are cut.

Thousands, cycles, bases, compound measures, money in words: each is a pattern and what it means.
"""

from __future__ import annotations

import re

_GROUPED = re.compile(r"(?<![\d.,])(\d{1,3}(?:,\d{3})+)(?![\d])(?!,\d)")
_SPACED = re.compile(r"(?<![\d.,] )(?<![\d.,])(\d{1,3}(?: \d{3})+)(?!\d)(?! \d)")
_EUROPEAN = re.compile(r"(?<![\d.,])(\d{1,3}(?:\.\d{3})+),(\d+)(?![\d.,])")
_REPEATING = re.compile(r"(\d*)\.(\d*)\\(?:overline|bar|dot)\s*\{?(\d+)\}?")
_SCIENTIFIC = re.compile(r"(?<![A-Za-z_\\])(\d+(?:\.\d+)?|\.\d+)[eE]([+-]?\d{1,6})(?![A-Za-z\d.])")
_BASED = re.compile(r"(?<![A-Za-z0-9_\\.^])(\d[0-9A-Za-z]*)_\{?\s*(\d{1,2})\s*\}?(?![0-9A-Za-z.])")
_BASE_WORD = re.compile(
    r"(?<![A-Za-z0-9_\\.])(\d[0-9A-Za-z]*)\s*(?:\\text\w*\{\s*base\s*\}|base|\\text\w*\{\s*base\s+(?=\d+\}))"
    r"\s*(\d{1,2})\}?"
)
_LETTER_BASE = re.compile(
    r"(?<![A-Za-z0-9_\\.])(?:\\text\{|\\mathrm\{)?([0-9A-F]{1,40})\}?_\{?\s*(16)\s*\}?(?![0-9A-Za-z.])"
)
_NAMED_BASE = re.compile(
    r"_\{\s*(?:\\text\{)?(two|three|four|five|six|seven|eight|nine|ten)\}{1,2}"
)
_NAMED_BASES = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10,
}  # fmt: skip
_PREFIXED = re.compile(r"(?<![A-Za-z0-9_\\.])0([xb])([0-9A-Fa-f]{1,60})(?![0-9A-Za-z.])")
_UNDERSCORES = re.compile(r"(?<![\w.])\d{1,3}(?:_\d{3})+(?!\w)")
_CYCLE_IN_BRACKETS = re.compile(r"(?<!\d)(\d{0,30})\.(\d{0,30})\((\d{1,20})\)(?!\^)")
_TEMPERATURE = re.compile(r"\^\s*\{?\s*\\circ\s*\}?\s*(?:\\(?:text|mathrm)\s*\{\s*)?([CF])\b\}?")
_UNIT_VECTOR = re.compile(r"\\(?:mathbf|boldsymbol|bm)\s*\{\s*(?:\\hat\s*)?([ijk])\s*\}")
_BASED_GROUP = re.compile(r"\((\d[0-9A-Za-z]*)\)_\{?\s*(\d{1,2})\s*\}?(?![0-9A-Za-z.])")
_INDIAN = re.compile(r"(?<![\d.,])(\d{1,2}(?:,\d{2})+,\d{3})(?![\d,])")
_ENDLESS = re.compile(r"(?<!\d)(\d{0,30})\.(\d{0,30}?)(\d{1,12}?)\3{2,10}(?:\\[lc]?dots|\.\.\.)")
_UPRIGHT = re.compile(r"\\mathrm\s*\{([ied])\}")
_UPRIGHT_UNITS = re.compile(
    r"\\(?:mathrm|text|textrm|rm)\s*\{(?![ied]\})"
    r"((?:[A-Za-z/ ]|\\[,;:]|\\cdot|\^\{?-?\d\}?){1,60})\}"
)
# what the letters of a compound measure name, where `units` reads them otherwise or not at all
_SIZES = {"m": "min", "mins": "min", "d": "day", "'": "ft", '"': "in", "''": "in"}
_MEASURE = r"(\d+(?:\.\d+)?)\s*(%s)"
_CLOCK = (_MEASURE % "h|hrs?|d", _MEASURE % "h|hrs?|m|mins?", _MEASURE % "m|mins?|s|secs?")
_COMPOUNDS = (
    re.compile(rf"{_CLOCK[0]}\s*{_CLOCK[1]}(?:\s*{_CLOCK[2]})?"),
    re.compile(_MEASURE % "m|mins?" + r"\s*" + _MEASURE % "s|secs?"),
    re.compile(_MEASURE % "ft|'" + r"\s*" + _MEASURE % "in|\"|''"),
    re.compile(_MEASURE % "lbs?" + r"\s*" + _MEASURE % "oz"),
)
_MONEY = re.compile(r"(?<=[$€£¥])\s*(\d[\d,]*(?:\.\d+)?)\s*([kKMB]|[mb]n)\b")
_THOUSANDS = {
    "k": "thousand", "K": "thousand", "M": "million", "mn": "million", "B": "billion",
    "bn": "billion",
}  # fmt: skip
_CHOOSE = re.compile(
    r"(?<![\w}])(?:\{\}\s*)?[_^]\s*\{?(\d{1,6})\}?\s*([CP])\s*_\s*(?:\{(\d{1,6})\}|(\d))"
)
_CHOOSE_OF = re.compile(r"(?<![\w\\}])([CP])\(\s*(\d{1,6})\s*,\s*(\d{1,6})\s*\)")
_MINUTES = re.compile(r"(?<=\d)(\s*)min\b(?!\s*[({\\])")


_NO_MEANING = re.compile(
    r"\\(?:tag|label)\*?\s*\{[^{}]*\}|\\[hv]space\*?\s*\{[^{}]*\}|\\(?:text)?color\s*\{[^{}]*\}"
    r"|\\(?:nonumber|notag|color\s*\[[^\[\]]*\])"
)
_PRIMES = re.compile(r"\^\s*(?:\{((?:\s*(?:\\prime|'))+)\s*\}|\\prime(?![A-Za-z]))")
_CONTINUED = re.compile(r"\\\\\s*&?\s*(?=(?:=|<|>|\\le|\\ge|\\approx))")
_LINES = re.compile(r"\\\\")


def _primes(match: re.Match[str]) -> str:
    return "'" * ((match[1] or "'").replace("\\prime", "'").count("'"))


def write_out_aliases(text: str, *, thousands: bool) -> str:
    """Return a text with such spellings written out.

    Args:
        text: an answer, as `lexer.plain` leaves it.
        thousands: a comma before exactly three digits groups digits, outside brackets.
    """
    text = _compound(text)
    text = _UPRIGHT_UNITS.sub(_upright, text)
    text = _MINUTES.sub(r"\1\\text{minute}", text)
    text = _MONEY.sub(_money, text)
    text = _CHOOSE.sub(lambda m: _choose(m[2], m[1], m[3] or m[4]), text)
    text = _CHOOSE_OF.sub(lambda m: _choose(*m.groups()), text)
    text = _NO_MEANING.sub("", text)
    text = _PRIMES.sub(_primes, text)
    if "\\begin" not in text:  # lines below each other: a chain goes on, or a list does
        text = _CONTINUED.sub(" ", text)
        text = text.replace("\\\\", ", ").replace("&", " ") if _LINES.search(text) else text
    text = re.sub(r"(?<=\d),\s*\\!\s*(?=\d{3}(?!\d))", ",", text)
    text = text.replace("{,}\\!", "{,}").replace("\\!", "")
    text = re.sub(r"(?<=\d)\{,\}(?=\d{3})", ",", text)
    text = re.sub(r"(?<=\d)\{,\}(?=\d)", ".", text)
    text = re.sub(r"(?<=\d,)(?:\\[,;: ]|\\thinspace) ?(?=\d{3}(?!\d))", "", text)
    text = re.sub(r"(?<=\d)(?:\\[,;: ]|\\thinspace) ?(?=\d{3}(?!\d))", " ", text)
    text = _REPEATING.sub(_repeating, text)
    text = _ENDLESS.sub(_endless, text)
    text = _CYCLE_IN_BRACKETS.sub(_endless, text)
    text = _UNDERSCORES.sub(lambda m: m[0].replace("_", ""), text)
    text = _TEMPERATURE.sub(
        lambda m: r"\text{ celsius}" if m[1] == "C" else r"\text{ fahrenheit}", text
    )
    text = _UNIT_VECTOR.sub(r"\\hat{\1}", text)
    text = _NAMED_BASE.sub(lambda m: f"_{{{_NAMED_BASES[m[1]]}}}", text)
    text = _PREFIXED.sub(_prefixed, text)
    text = _UPRIGHT.sub(r"{\1}", text)
    for pattern in (_BASE_WORD, _BASED_GROUP, _BASED, _LETTER_BASE):
        text = pattern.sub(_based, text)
    text = _INDIAN.sub(lambda m: m[1].replace(",", ""), text)
    text = _EUROPEAN.sub(lambda m: m[1].replace(".", "") + "." + m[2], text)
    if thousands:
        text = _group(text)
    text = _SPACED.sub(lambda m: m[1].replace(" ", ""), text)
    text = _SCIENTIFIC.sub(r"{\1 * 10^{\2}}", text)
    return text


def _repeating(match: re.Match[str]) -> str:
    if len(match[0]) > 80:
        return match[0]
    return _cycle(match[1] or "0", match[2], match[3])


def _cycle(whole: str, fixed: str, cycle: str) -> str:
    """Return the fraction of a decimal whose cycle repeats without end."""
    top = int(whole + fixed + cycle) - int(whole + fixed)
    bottom = (10 ** len(cycle) - 1) * 10 ** len(fixed)
    return rf"\frac{{{top}}}{{{bottom}}}"


def _endless(match: re.Match[str]) -> str:
    """Write 0.1666... as the fraction that it stands for."""
    return _cycle(match[1] or "0", match[2], match[3])


def _prefixed(match: re.Match[str]) -> str:
    """Read 0xFF and 0b101."""
    try:
        return f"{{{int(match[2], 16 if match[1] == 'x' else 2)}}}"
    except ValueError:
        return match[0]


def _based(match: re.Match[str]) -> str:
    digits, base = match[1], int(match[2])
    if not 2 <= base <= 36 or len(digits) > 200:
        return match[0]
    try:
        return f"{{{int(digits, base)}}}"
    except ValueError:
        return match[0]


def _compound(text: str) -> str:
    """Name the units of `2 h 30 min`, `3 ft 6 in` and `5'6"`, whose letters could be variables."""
    for pattern in _COMPOUNDS:
        match = pattern.fullmatch(text)
        if match:
            found = [g for g in match.groups() if g is not None]
            sizes = [_SIZES.get(name, name) for name in found[1::2]]
            return " ".join(f"{n} \\text{{{u}}}" for n, u in zip(found[::2], sizes, strict=True))
    return text


def _money(match: re.Match[str]) -> str:
    return rf"{match[1]} \text{{{_THOUSANDS[match[2]]}}}"


def _choose(kind: str, count: str, taken: str) -> str:
    r"""Write the school notation of combinations (C) and permutations (P) as a binomial."""
    binomial = rf"\binom{{{count}}}{{{taken}}}"
    return binomial if kind == "C" else rf"({binomial}\cdot {taken}!)"


def _upright(match: re.Match[str]) -> str:
    words = re.sub(r"\\[,;:]|\\cdot", " ", match[1])
    return rf"\text{{{re.sub(r'[{}]', '', words)}}}"


def _group(text: str) -> str:
    """Join digits grouped by commas, outside brackets only: (1,234) is a pair."""
    if not _GROUPED.search(text):
        return text
    depth = 0
    depths = []
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        depths.append(depth)

    def join(match: re.Match[str]) -> str:
        return match[1].replace(",", "") if depths[match.start()] <= 0 else match[0]

    return _GROUPED.sub(join, text)
