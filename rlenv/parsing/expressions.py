r"""Arithmetic expressions, worked out exactly and never run as code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

MAX_LENGTH = 500  # characters; with it every value has at most about so many digits
MAX_DEPTH = 40  # brackets and signs inside one another
MAX_DIGITS = 30  # of one number

_SIGNS = {
    "−": "-", "–": "-", "×": "*", "·": "*", "⋅": "*", "÷": "/", "∕": "/",
    r"\times": "*", r"\cdot": "*", r"\div": "/",
    r"\left(": "(", r"\right)": ")", r"\dfrac": r"\frac", r"\tfrac": r"\frac",
}  # fmt: skip
_TOKEN = re.compile(
    r"(?P<number>[0-9]+(?:\.[0-9]+)?)|(?P<sign>\\(?:left\(|right\)|[a-z]+)|[^\s\w])|(?P<other>\S)"
)


@dataclass(frozen=True)
class Expression:
    """An arithmetic expression, or what was meant to be one.

    Attributes:
        text: as it was given.
        value: exact; None where there is none.
        numbers: written in it, from left to right, without signs: `-3 + 12` holds 3 and 12.
        problem: why there is no value: `empty`, `incomplete`, `too long`, `too deep`,
            `too many digits`, `division by zero`, or `unexpected ...`; "" where there is one.
    """

    text: str
    value: Fraction | None
    numbers: tuple[Fraction, ...] = ()
    problem: str = ""


def expression(text: str) -> Expression:
    r"""Work out an expression of decimal numbers, `+ - * /`, signs and round brackets.

    `×`, `÷` and LaTeX's `\times`, `\cdot`, `\div`, `\frac{a}{b}`, `\left(` count as well. All of
    the text must be one expression: no `=`, no powers, no names, no `2(3 + 4)`, no commas. The
    value is an exact fraction. Never raises; takes time linear in the text, of which no more than
    500 characters are looked at.

    Args:
        text: the expression alone, such as what `last_boxed` found.

    Example:
        >>> expression("(1 + 2) / 4").value
        Fraction(3, 4)
        >>> expression("7 / (3 - 3)").problem
        'division by zero'
    """
    if len(text) > MAX_LENGTH:
        return Expression(text, None, problem="too long")
    reader = _Reader(text)
    try:
        value = reader.sum()
        if reader.token:
            reader.refuse()
    except _Unreadable as problem:
        return Expression(text, None, problem=str(problem))
    except ZeroDivisionError:
        return Expression(text, None, tuple(reader.numbers), "division by zero")
    return Expression(text, value, tuple(reader.numbers))


class _Unreadable(ValueError):
    pass


class _Reader:
    r"""Recursive descent, one method a rule of the grammar.

    sum:     product (("+" | "-") product)*
    product: factor (("*" | "/") factor)*
    factor:  number | ("+" | "-") factor | "(" sum ")" | "\frac" "{" sum "}" "{" sum "}"
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _TOKEN.finditer(text)
        self.token = ""  # the next one, in its plain spelling; empty at the end
        self.is_number = False
        self.depth = 0
        self.numbers: list[Fraction] = []
        self.advance()

    def advance(self) -> None:
        match = next(self.tokens, None)
        self.token = "" if match is None else _SIGNS.get(match[0], match[0])
        self.is_number = match is not None and match.lastgroup == "number"

    def refuse(self) -> None:
        if self.token:
            raise _Unreadable(f"unexpected {self.token[:20]!r}")
        raise _Unreadable("incomplete" if self.text.strip() else "empty")

    def take(self, token: str) -> None:
        if self.token != token:
            self.refuse()
        self.advance()

    def sum(self) -> Fraction:
        value = self.product()
        while self.token in ("+", "-"):
            sign = self.token
            self.advance()
            term = self.product()
            value = value + term if sign == "+" else value - term
        return value

    def product(self) -> Fraction:
        value = self.factor()
        while self.token in ("*", "/"):
            sign = self.token
            self.advance()
            factor = self.factor()
            value = value * factor if sign == "*" else value / factor
        return value

    def factor(self) -> Fraction:
        if self.is_number:
            return self.number()
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _Unreadable("too deep")
        if self.token in ("+", "-"):
            sign = self.token
            self.advance()
            value = self.factor() if sign == "+" else -self.factor()
        elif self.token == r"\frac":
            self.advance()
            value = self.bracket("{", "}") / self.bracket("{", "}")
        else:
            value = self.bracket("(", ")")
        self.depth -= 1
        return value

    def bracket(self, opening: str, closing: str) -> Fraction:
        self.take(opening)
        value = self.sum()
        self.take(closing)
        return value

    def number(self) -> Fraction:
        if len(self.token) > MAX_DIGITS:
            raise _Unreadable("too many digits")
        self.numbers.append(Fraction(self.token))
        self.advance()
        return self.numbers[-1]
