r"""From text to tokens: LaTeX, plain notation and Unicode signs alike.

What has no meaning (sizes, spaces, dollar signs around formulas, styles) is dropped here; what is
spelled in several ways (`\dfrac` and `\frac`, `\le` and `<=`, `×` and `\times`) gets one name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from .aliases import write_out_aliases
from .limits import TooLarge, Unreadable
from .nodes import Node

FUNCTIONS = {
    "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "arccot", "sinh",
    "cosh", "tanh", "coth", "asin", "acos", "atan", "ln", "log", "lg", "exp", "sqrt", "cbrt",
    "abs", "floor", "ceil", "gcd", "lcm", "max", "min", "det", "arsinh", "arcosh", "artanh",
    "Re", "Im", "sgn", "signum", "cosec", "cosech", "binomial", "arg", "factorial", "sech", "csch",
    "cis", "arcsinh", "arccosh", "arctanh", "asinh", "acosh", "atanh",
}  # fmt: skip
OF_SEVERAL = {"max", "min", "gcd", "lcm", "binom"}  # all others take one value
FUNCTION_ALIASES = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "lg": "log10"}
FUNCTION_ALIASES |= {"arcsinh": "arsinh", "arccosh": "arcosh", "arctanh": "artanh"}
FUNCTION_ALIASES |= {"asinh": "arsinh", "acosh": "arcosh", "atanh": "artanh"}
FUNCTION_ALIASES |= {"signum": "sgn", "cosec": "csc", "cosech": "csch", "binomial": "binom"}
GREEK = {
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa",
    "lambda", "mu", "nu", "xi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
    "Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Phi", "Psi", "Omega", "ell",
    "hbar",
}  # fmt: skip
CONSTANT_WORDS = {"pi": "pi", "inf": "infinity", "infinity": "infinity", "oo": "infinity"}
ACCENTS = {"vec", "hat", "bar", "tilde", "dot", "overline", "underline", "widehat"}
SETS = {"R": "reals", "Z": "integers", "N": "naturals", "Q": "rationals", "C": "complexes"}
RELATIONS = {"=", "~", "<", ">", "<=", ">=", "!="}
# commands that a factor can begin with
FORMS = {
    "frac", "sqrt", "binom", "pi", "infty", "sum", "prod", "int", "lim", "lfloor", "lceil",
    "log", "imath", "mathbb", "max", "min", "begin",
}  # fmt: skip
STARTS = FUNCTIONS | GREEK | ACCENTS | FORMS


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
    "mathop", "ensuremath", "mathord", "nonumber", "notag", "prime",
}  # fmt: skip
_COMMAND_ALIASES = {
    "dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "nicefrac": "frac", "sfrac": "frac",
    "dbinom": "binom", "tbinom": "binom", "choose": "choose", "leq": "<=", "le": "<=",
    "leqslant": "<=", "geq": ">=", "ge": ">=", "geqslant": ">=", "neq": "!=", "ne": "!=",
    "lt": "<", "gt": ">", "approx": "~", "equiv": "=", "simeq": "~",
    "thickapprox": "~", "doteq": "=", "colon": ":",
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
_SUPERSCRIPT = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+")
_SUBSCRIPT = re.compile("[₀₁₂₃₄₅₆₇₈₉]+")


# commands of a text that was escaped once too often, as in JSON within JSON
_TWICE = re.compile(
    r"\\\\(?=(?:d?frac|left|right|sqrt|leq?|geq?|text|pi|cdot|times|infty|cup|in|pm)(?![A-Za-z]))"
)


def plain(text: str) -> str:
    """Return the text with Unicode signs spelled out and white space tidied."""
    text = _TWICE.sub(r"\\", text.translate(_INVISIBLE))
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
    text = write_out_aliases(text, thousands=style.thousands)
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
    same = _COMMAND_ALIASES.get(name, name)
    return ("command" if same[0].isalpha() else "sign"), same


DEEPEST = 60


class TokenStream:
    """A place in a row of tokens, and how a reader moves on from there.

    Args:
        tokens: of the whole text. A level may cut the token ahead in two.
    """

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.at = 0
        self.depth = 0
        self.bars = 0  # open absolute values: the next bar closes one
        self.currency: str | None = None
        self.differential: str | None = None  # inside an integral: the variable it ends with

    def peek(self, ahead: int = 0) -> Token:
        """Return the token that comes next, or so many further on."""
        at = self.at + ahead
        return self.tokens[at] if at < len(self.tokens) else Token("end", "", False)

    def next(self) -> Token:
        """Take a token."""
        token = self.peek()
        self.at += 1
        return token

    def sees(self, *texts: str, kind: str | None = None) -> bool:
        """Whether one of the texts comes next, and not as words."""
        token = self.peek()
        if token.kind in ("text", "end"):
            return False
        return token.text in texts and (kind is None or token.kind == kind)

    def takes(self, *texts: str) -> bool:
        """Take one of the texts, if one comes next."""
        if self.sees(*texts):
            self.at += 1
            return True
        return False

    def takes_group(self, *texts: str) -> bool:
        """Take one of the texts in braces."""
        found = self.sees("{") and self.peek(1).text in texts and self.peek(2).text == "}"
        self.at += 3 if found else 0
        return found

    def expect(self, text: str) -> None:
        """Take the text, which must come next."""
        if not self.takes(text):
            raise Unreadable(f"{text!r} expected, not {self.peek().text!r}")

    def deeper(self, parse: Callable[[], Node]) -> Node:
        """Read one level down, of which there are not endlessly many."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise TooLarge(f"nested more than {DEEPEST} deep")
        try:
            return parse()
        finally:
            self.depth -= 1
