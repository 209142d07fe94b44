"""A place in a row of tokens, and the levels of the grammar that are read from there."""

from __future__ import annotations

from collections.abc import Callable

from .errors import TooLarge, Unreadable
from .lexer import Token
from .nodes import Node

DEEPEST = 60


class Cursor:
    """What every level of the reader uses.

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

    # The levels, from the widest to the narrowest. Each is defined in the module that is about it;
    # they are named here because the narrow ones hold the wide ones again, in brackets.

    def answer(self) -> Node:
        """Read all there is."""
        raise NotImplementedError

    def listing(self) -> Node:
        """Read items between commas."""
        raise NotImplementedError

    def sum(self) -> Node:
        """Read terms with plus and minus between them."""
        raise NotImplementedError

    def product(self) -> Node:
        """Read factors, with or without a sign between them."""
        raise NotImplementedError

    def signed(self) -> Node:
        """Read a factor with signs before it."""
        raise NotImplementedError

    def starts_factor(self) -> bool:
        """Whether a factor follows without a sign of multiplication."""
        raise NotImplementedError

    def power(self) -> Node:
        """Read a base with its exponent and what stands behind it."""
        raise NotImplementedError

    def exponent(self) -> Node:
        """Read what stands behind `^`."""
        raise NotImplementedError

    def command(self, name: str) -> Node:
        """Read what a LaTeX command begins."""
        raise NotImplementedError
