"""A calculator that parses what it is given and runs nothing."""

from __future__ import annotations

from decimal import Context, Decimal

from rlenv import parsing

_DIGITS = Context(prec=15)


def calculator(expression: str) -> str:
    """Work out an arithmetic expression exactly.

    Args:
        expression: numbers with + - * / and brackets, such as (3 + 4.5) * 12 / 7.
    """
    found = parsing.expression(expression)
    if found.value is None:
        raise ValueError(found.problem)
    above, below = found.value.numerator, found.value.denominator
    if below == 1:
        return str(above)
    return f"{above}/{below} = {_DIGITS.divide(Decimal(above), Decimal(below)).normalize(_DIGITS)}"
