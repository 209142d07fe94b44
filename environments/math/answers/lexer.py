r"""From text to tokens: LaTeX, plain notation and Unicode signs alike.

What has no meaning (sizes, spaces, dollar signs around formulas, styles) is dropped here; what is
spelled in several ways (`\dfrac` and `\frac`, `\le` and `<=`, `×` and `\times`) gets one name.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import NamedTuple

from .errors import TooLarge, Unreadable

LONGEST = 20_000  # characters
MOST_TOKENS = 4_000
LONGEST_NUMBER = 2_000  # digits


class Token(NamedTuple):
    """A piece of the text.

    Attributes:
        kind: `number`, `name` (letters), `command` (of LaTeX), `text` (words), `sign`.
        text: as it stands, or its one name.
        spaced: whether white space came before it.
    """

    kind: str
    text: str
    spaced: bool


@dataclass(frozen=True)
class Style:
    """How ambiguous marks are read.

    Attributes:
        thousands: a comma before exactly three digits groups digits, outside brackets.
    """

    thousands: bool = True


_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_UNICODE = {
    "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ", "∗": "*", "÷": r"\div ",
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "π": r"\pi ", "∞": r"\infty ",
    "≤": r"\le ", "⩽": r"\le ", "≥": r"\ge ", "⩾": r"\ge ", "≠": r"\ne ", "≈": r"\approx ",
    "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "∅": r"\emptyset ", "±": r"\pm ", "∓": r"\mp ",
    "°": r"^\circ ", "√": r"\sqrt ", "∛": r"\sqrt[3]", "∜": r"\sqrt[4]", "…": r"\ldots ",
    "⋯": r"\ldots ", "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}",
    "ℚ": r"\mathbb{Q}", "ℂ": r"\mathbb{C}", "∖": r"\setminus ", "∧": r"\wedge ",
    "∨": r"\vee ", "′": "'", "’": "'", "‘": "'", "“": '"', "”": '"', "⟨": r"\langle ",
    "⟩": r"\rangle ", "⌊": r"\lfloor ", "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil ",
    "∥": r"\|", "θ": r"\theta ", "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ",
    "λ": r"\lambda ", "μ": r"\mu ", "φ": r"\phi ", "ω": r"\omega ", "σ": r"\sigma ",
    "Δ": r"\Delta ", "δ": r"\delta ", "⁄": "/", "∕": "/", "→": r"\to ", "⇒": r"\Rightarrow ",
    "∀": r"\forall ", "∃": r"\exists ", "\u00a0": " ", "\u2009": " ", "\u202f": " ",
}  # fmt: skip
_INVISIBLE = dict.fromkeys([0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2060, 0xFEFF, 0xAD])
_INVISIBLE.update(dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)]))

_TEXT_COMMANDS = (
    r"text|textbf|textit|textrm|textnormal|textsf|texttt|textup|mbox|hbox|mathrm|operatorname\*?"
    r"|mathbf|mathit|mathsf|mathtt|mathcal|emph|boldsymbol|bm|rm|bf|it"
)
_WRAPPER = re.compile(rf"\\(?:{_TEXT_COMMANDS})\s*\{{([^{{}}$\\]*)\}}")
_DROPPED = {
    "left", "right", "big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr", "biggl",
    "biggr", "Biggl", "Biggr", "middle", "displaystyle", "textstyle", "scriptstyle", "limits",
    "nolimits", "rm", "bf", "it", "quad", "qquad", "enspace", "thinspace", "negthinspace", "hfill",
    "mathstrut", "strut", "phantom", "boxed", "fbox", "displaylimits", "centering", "hline",
    "mathop", "ensuremath", "mathord",
}  # fmt: skip
_SAME = {
    "dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "nicefrac": "frac", "sfrac": "frac",
    "dbinom": "binom", "tbinom": "binom", "choose": "choose", "leq": "<=", "le": "<=",
    "leqslant": "<=", "geq": ">=", "ge": ">=", "geqslant": ">=", "neq": "!=", "ne": "!=",
    "lt": "<", "gt": ">", "approx": "=", "equiv": "=", "simeq": "=", "doteq": "=", "colon": ":",
    "times": "*", "cdot": "*", "ast": "*", "bullet": "*", "div": "/", "lbrace": "{{",
    "rbrace": "}}", "lbrack": "[", "rbrack": "]", "vert": "|", "lvert": "|", "rvert": "|",
    "mid": "mid", "bigcup": "cup", "bigcap": "cap", "dots": "ldots", "cdots": "ldots",
    "dotsc": "ldots", "dotsb": "ldots", "infin": "infty", "degree": "degree", "tg": "tan",
    "ctg": "cot", "cosec": "csc", "varnothing": "emptyset", "backslash": "setminus",
    "smallsetminus": "setminus", "lor": "or", "vee": "or", "land": "and", "wedge": "and",
    "varphi": "phi", "vartheta": "theta", "varepsilon": "epsilon", "Vert": "|", "lVert": "|",
    "rVert": "|", "overrightarrow": "vec", "arctg": "arctan", "implies": "to",
    "Rightarrow": "to", "rightarrow": "to", "longrightarrow": "to", "euro": "€", "pounds": "£",
    "textdollar": "$", "percent": "%", "cosech": "csch", "arcsec": "arcsec", "Longrightarrow": "to",
}  # fmt: skip
_PIECE = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<number>\d+(?:\.\d+)?|\.\d+)"
    r"|(?P<command>\\(?:[A-Za-z]+\*?|.))"
    r"|(?P<name>[A-Za-z]+)"
    r"|(?P<sign><=|>=|!=|==|\*\*|:=|->|!!|\.\.\.|.)",
    re.DOTALL,
)
_GROUPED = re.compile(r"(?<![\d.,])(\d{1,3}(?:,\d{3})+)(?![\d])(?!,\d)")
_SPACED = re.compile(r"(?<![\d.,] )(?<![\d.,])(\d{1,3}(?: \d{3})+)(?!\d)(?! \d)")
_EUROPEAN = re.compile(r"(?<![\d.,])(\d{1,3}(?:\.\d{3})+),(\d+)(?![\d.,])")
_REPEATING = re.compile(r"(\d*)\.(\d*)\\(?:overline|bar|dot)\s*\{?(\d+)\}?")
_SCIENTIFIC = re.compile(r"(?<![A-Za-z_\\])(\d+(?:\.\d+)?|\.\d+)[eE]([+-]?\d{1,6})(?![A-Za-z\d.])")
_BASED = re.compile(r"(?<![A-Za-z0-9_\\.])(\d[0-9A-Za-z]*)_\{?\s*(\d{1,2})\s*\}?(?![0-9A-Za-z.])")
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
_MINUTES = re.compile(r"(?<=\d)(\s*)min\b(?!\s*[({\\])")
_SUPERSCRIPT = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+")
_SUBSCRIPT = re.compile("[₀₁₂₃₄₅₆₇₈₉]+")


def plain(text: str) -> str:
    """Return the text with Unicode signs spelled out and white space tidied."""
    text = text.translate(_INVISIBLE)
    text = _SUPERSCRIPT.sub(lambda m: "^{" + m[0].translate(_SUPERSCRIPTS) + "}", text)
    text = _SUBSCRIPT.sub(lambda m: "_{" + m[0].translate(_SUBSCRIPTS) + "}", text)
    if not text.isascii():
        pieces = []
        for character in text:
            if character in _UNICODE:
                pieces.append(_UNICODE[character])
            elif unicodedata.category(character) == "No" and "⁄" in unicodedata.normalize(
                "NFKC", character
            ):
                top, bottom = unicodedata.normalize("NFKC", character).split("⁄")
                pieces.append(rf" \frac{{{top}}}{{{bottom}}}")
            else:
                pieces.append(character)
        text = unicodedata.normalize("NFKC", "".join(pieces))
        text = "".join(_UNICODE.get(c, c) for c in text)
    text = re.sub(r"(?<!\\)\\[ \n]", " ", text).replace("~", " ")
    return re.sub(r"\s+", " ", text).strip()


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


def _choose(match: re.Match[str]) -> str:
    r"""Write the school notation of combinations and permutations as a binomial."""
    count, taken = match[1], match[3] or match[4]
    binomial = rf"\binom{{{count}}}{{{taken}}}"
    return binomial if match[2] == "C" else rf"({binomial}\cdot {taken}!)"


def _upright(match: re.Match[str]) -> str:
    words = re.sub(r"\\[,;:]|\\cdot", " ", match[1])
    return rf"\text{{{re.sub(r'[{}]', '', words)}}}"


def tokenize(text: str, style: Style = Style()) -> list[Token]:
    """Split a text into tokens.

    Args:
        text: an answer, as `plain` leaves it.
        style: how ambiguous marks are read.

    Raises:
        TooLarge: it is longer than an answer can be.
        Unreadable: a character that no notation uses.
    """
    if len(text) > LONGEST:
        raise TooLarge(f"an answer of {len(text)} characters")
    text = _compound(text)
    text = _UPRIGHT_UNITS.sub(_upright, text)
    text = _MINUTES.sub(r"\1\\text{minute}", text)
    text = _MONEY.sub(_money, text)
    text = _CHOOSE.sub(_choose, text)
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
    if style.thousands:
        text = _group(text)
    text = _SPACED.sub(lambda m: m[1].replace(" ", ""), text)
    text = _SCIENTIFIC.sub(r"{\1 * 10^{\2}}", text)
    tokens: list[Token] = []
    spaced = False
    at = 0
    while at < len(text):
        wrapped = _WRAPPER.match(text, at) if text[at] == "\\" else None
        if wrapped:
            at = wrapped.end()
            words = wrapped[1]
            if words.strip():
                tokens.append(Token("text", words.strip(), spaced or words[0].isspace()))
            spaced = bool(words) and words[-1:].isspace()
            continue
        match = _PIECE.match(text, at)
        assert match is not None
        assert match.lastgroup is not None
        at = match.end()
        kind, piece = match.lastgroup, match[0]
        if kind == "space":
            spaced = True
            continue
        if kind == "number" and len(piece) > LONGEST_NUMBER:
            raise TooLarge(f"a number of {len(piece)} digits")
        if kind == "command":
            name = piece[1:].rstrip("*") or "\\"
            if name in _DROPPED or name in (",", ";", ":", "!", " ", ">", "(", ")", "[", "]"):
                spaced = spaced or name not in ("!", "left", "right")
                continue
            kind, piece = _command(name)
        elif kind == "sign":
            if piece == "**":
                piece = "^"
            elif piece in ("==", ":="):
                piece = "="
            elif piece == "...":
                kind, piece = "command", "ldots"
            elif piece == "->":
                kind, piece = "command", "to"
        tokens.append(Token(kind, piece, spaced))
        spaced = False
        if len(tokens) > MOST_TOKENS:
            raise TooLarge("an answer of thousands of signs")
    return tokens


def _command(name: str) -> tuple[str, str]:
    if name in ("$", "%", "#", "&", "_"):
        return "sign", name
    if name == "{":
        return "sign", "{{"
    if name == "}":
        return "sign", "}}"
    if name == "|":
        return "sign", "|"
    if name == "\\":
        return "command", "\\"
    if not name[0].isalpha():
        raise Unreadable(f"\\{name} is no command of LaTeX")
    same = _SAME.get(name, name)
    return ("command" if same[0].isalpha() else "sign"), same


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
