"""Why an answer could not be judged."""

from __future__ import annotations


class Unreadable(ValueError):
    """The text is no mathematics that the parser knows."""


class TooLarge(ArithmeticError):
    """A value, or the work to find it, is beyond the limits."""


class Undefined(ArithmeticError):
    """The expression has no value here: a division by zero, a logarithm of zero."""
