"""Why an answer could not be judged, how large numbers may get, and how much work a comparison is.

Every operation checks the size of what it would make before it makes it, and the whole evaluation
has a budget of steps, so that a tower of powers ends in `TooLarge` and not in a full memory.
"""

from __future__ import annotations


class Unreadable(ValueError):
    """The text is no mathematics that the parser knows."""


class TooLarge(ArithmeticError):
    """A value, or the work to find it, is beyond the limits."""


class Undefined(ArithmeticError):
    """The expression has no value here: a division by zero, a logarithm of zero."""


MOST_BITS = 200_000  # of an exact number
LARGEST_EXPONENT = 10_000_000  # of a rounded number, in bits
LARGEST_ANGLE = 1e15  # of a sine: beyond it the working digits say nothing
LARGEST_FACTORIAL = 20_000
MOST_TERMS = 20_000  # of a sum or product that is added up
BUDGET = 200_000  # steps of one comparison


class Budget:
    """Counts the steps of a comparison down."""

    def __init__(self, steps: int = BUDGET) -> None:
        self.left = steps

    def spend(self, steps: int = 1) -> None:
        """Take steps off.

        Raises:
            TooLarge: none are left.
        """
        self.left -= steps
        if self.left < 0:
            raise TooLarge("too much work")
