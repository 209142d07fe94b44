"""Sums, products, signs, powers, and what stands behind a value."""

from __future__ import annotations

from . import units
from .commands import ZERO, Commands
from .errors import Unreadable
from .nodes import Apply, Matrix, Node, Number, Row
from .vocabulary import CONSTANT_WORDS, FUNCTIONS, STARTS


class Arithmetic(Commands):
    """The levels of precedence."""

    def sum(self) -> Node:
        """Read terms with plus, minus or plus-minus between them."""
        return self.deeper(self._sum)

    def _sum(self) -> Node:
        left = self.product()
        while True:
            if self.takes("+"):
                left = Apply("+", (left, self.product()))
            elif self.takes("-"):
                left = Apply("-", (left, self.product()))
            elif self.takes("pm"):
                left = Apply("pm", (left, self.product()))
            elif self.takes("mp"):
                left = Apply("mp", (left, self.product()))
            else:
                return left

    def product(self) -> Node:
        """Read factors, with or without a sign between them."""
        left: Node = self.signed()
        while True:
            if self.takes("*"):
                left = Apply("*", (left, self.signed()))
            elif self.sees("/") and self.peek(1).kind != "text":
                self.at += 1
                left = Apply("/", (left, self.signed()))
            elif self.starts_factor():
                left = Apply("*", (left, self.power()))
            else:
                return left

    def signed(self) -> Node:
        """Read a factor with signs before it."""
        negative = False
        count = 0
        while True:
            if self.takes("-"):
                negative = not negative
            elif self.takes("pm"):
                both = Apply("pm", (ZERO, self.power()))
                return Apply("neg", (both,)) if negative else both
            elif self.takes("mp"):
                return Apply("mp", (ZERO, self.power()))
            elif not self.takes("+"):
                break
            count += 1
        if count > 8:
            raise Unreadable("a row of signs")
        value = self.power()
        if negative and isinstance(value, Number):
            return Number(-value.value, value.digits, value.places)
        return Apply("neg", (value,)) if negative else value

    def starts_factor(self) -> bool:
        """Whether a factor follows without a sign of multiplication."""
        token = self.peek()
        if token.kind == "name":
            if self.differential and self.is_differential():
                return False
            if token.text.lower() in ("and", "or", "to"):
                return False
            if token.text == "U" and self.tokens[self.at - 1].text in (")", "]", "}}"):
                return False
            before = self.tokens[self.at - 1]
            if before.kind == "number" and token.text.lower().rstrip("s") in units.MULTIPLIERS:
                return False
            unit_follows = before.kind == "number" or before.text in ("}", ")")
            return not (unit_follows and len(token.text) > 1 and self.is_unit(token.text))
        if token.kind == "text":
            return token.text in FUNCTIONS and not units.known(token.text)
        if token.kind == "command":
            return token.text in STARTS
        if token.kind == "number":
            before = self.tokens[self.at - 1]
            return before.text in (")", "}", "]") and before.kind == "sign"
        if token.kind != "sign":
            return False
        if token.text == "|":
            return self.bars == 0
        return token.text in ("(", "{")

    def is_unit(self, word: str) -> bool:
        """Whether a word is a unit, and nothing else that a value could hold."""
        return units.known(word) and word.lower() not in FUNCTIONS and word not in CONSTANT_WORDS

    def is_differential(self) -> bool:
        """Whether `dx` or `d x` comes next."""
        token = self.peek()
        if token.text == "d" and self.peek(1).kind == "name":
            return True
        return len(token.text) == 2 and token.text[0] == "d"

    def power(self) -> Node:
        """Read a base with its exponent and what stands behind it."""
        return self.deeper(self._power)

    def _power(self) -> Node:
        base = self.postfix(self.primary())
        if not self.takes("^"):
            return base
        if self.takes("circ", "degree"):
            return self.postfix(Apply("degree", (base,)))
        if self.sees("{") and self.peek(1).text in ("circ", "degree") and self.peek(2).text == "}":
            self.at += 3
            return self.postfix(Apply("degree", (base,)))
        if isinstance(base, Row) and (self.takes("T", "top") or self.takes_group("T", "top")):
            return base
        if isinstance(base, Matrix) and self.takes("T", "top"):
            return Apply("transpose", (base,))
        exponent = self.exponent()
        return self.postfix(Apply("^", (base, exponent)))

    def exponent(self) -> Node:
        """Read what stands behind `^`: a group, or a power with signs before it."""
        if self.sees("{"):
            return self.group()
        if self.takes("-"):
            return Apply("neg", (self.exponent(),))
        return self.power()

    def postfix(self, value: Node) -> Node:
        """Read factorials and degrees behind a value."""
        while True:
            if self.takes("!"):
                value = Apply("factorial", (value,))
            elif self.takes("!!"):
                value = Apply("double_factorial", (value,))
            elif self.sees("degree", kind="command"):
                self.at += 1
                value = Apply("degree", (value,))
            else:
                return value
