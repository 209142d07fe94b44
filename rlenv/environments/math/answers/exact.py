"""Values of rational expressions, as fractions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from .limits import LARGEST_FACTORIAL, MOST_BITS, MOST_TERMS, Budget, TooLarge, Undefined
from .nodes import Apply, Bound, Node, Number, Symbol


def exact(
    node: Node, budget: Budget, values: Mapping[str, Fraction] | None = None
) -> Fraction | None:
    """Return the value of a rational expression; None if it is none.

    Args:
        node: an expression.
        budget: of steps.
        values: of its variables; an expression with others has no value.

    Raises:
        TooLarge: the value would have more than `MOST_BITS`.
        Undefined: it divides by zero.
    """
    budget.spend()
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Symbol):
        return values.get(node.name) if values else None
    if isinstance(node, Bound):
        return _finite_sum(node, budget, values or {})
    if not isinstance(node, Apply):
        return None
    operation = _EXACT.get(node.name)
    if operation is None:
        return None
    arguments = []
    for argument in node.arguments:
        value = exact(argument, budget, values)
        if value is None:
            return None
        arguments.append(value)
    result: Fraction | None = operation(*arguments)
    if result is not None and _bits(result) > MOST_BITS:
        raise TooLarge("a number of more digits than an answer has")
    return result


def _finite_sum(node: Bound, budget: Budget, values: Mapping[str, Fraction]) -> Fraction | None:
    if node.name not in ("sum", "prod"):
        return None
    low, high = exact(node.low, budget, values), exact(node.high, budget, values)
    if low is None or high is None or low.denominator != 1 or high.denominator != 1:
        return None
    if high - low > MOST_TERMS:
        raise TooLarge("a sum of more terms than can be added up")
    total = Fraction(0 if node.name == "sum" else 1)
    for k in range(low.numerator, high.numerator + 1):
        term = exact(node.body, budget, {**values, node.variable: Fraction(k)})
        if term is None:
            return None
        total = total + term if node.name == "sum" else total * term
        if _bits(total) > MOST_BITS:
            raise TooLarge("a number of more digits than an answer has")
    return total


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _divide(a: Fraction, b: Fraction) -> Fraction:
    if b == 0:
        raise Undefined("a division by zero")
    return a / b


def _power(base: Fraction, exponent: Fraction) -> Fraction | None:
    if exponent.denominator != 1:
        return (
            _rational_root(base**exponent.numerator, exponent.denominator)
            if (
                abs(exponent.numerator) <= 64
                and exponent.denominator <= 64
                and base > 0
                and _bits(base) * abs(exponent.numerator) <= 4096
            )
            else None
        )
    power = exponent.numerator
    if base == 0:
        if power < 0:
            raise Undefined("a division by zero")
        return Fraction(power == 0)
    if abs(base) == 1:
        return Fraction(1) if base == 1 or power % 2 == 0 else Fraction(-1)
    if abs(power) * _bits(base) > 4 * MOST_BITS:
        raise TooLarge("a power of more digits than an answer has")
    return base**power


def _rational_root(value: Fraction, order: int) -> Fraction | None:
    """Return the root where it is rational."""
    if value < 0 or order > 64 or _bits(value) > 8192:
        return None
    parts = []
    for part in (value.numerator, value.denominator):
        root = _integer_root(part, order)
        if root**order != part:
            return None
        parts.append(root)
    return Fraction(parts[0], parts[1])


def _integer_root(value: int, order: int) -> int:
    if order == 2:
        return math.isqrt(value)
    low, high = 0, 1 << (value.bit_length() // order + 1)
    while low < high:
        middle = (low + high + 1) // 2
        if middle**order <= value:
            low = middle
        else:
            high = middle - 1
    return low


def _factorial(n: Fraction) -> Fraction | None:
    if n.denominator != 1 or n < 0:
        return None
    if n > LARGEST_FACTORIAL:
        raise TooLarge("a factorial of more digits than an answer has")
    return Fraction(math.factorial(n.numerator))


def _double_factorial(n: Fraction) -> Fraction | None:
    if n.denominator != 1 or n < 0:
        return None
    if n > LARGEST_FACTORIAL:
        raise TooLarge("a factorial of more digits than an answer has")
    return Fraction(math.prod(range(n.numerator, 0, -2)))


def _binomial(n: Fraction, k: Fraction) -> Fraction | None:
    if n.denominator != 1 or k.denominator != 1 or n < 0 or k < 0:
        return None
    if min(k, n - k) * _bits(n) > 4 * MOST_BITS:
        raise TooLarge("a binomial of more digits than an answer has")
    return Fraction(math.comb(n.numerator, k.numerator))


def _whole(function: Any) -> Any:
    def apply(*values: Fraction) -> Fraction | None:
        if any(v.denominator != 1 for v in values):
            return None
        return Fraction(function(*(v.numerator for v in values)))

    return apply


_EXACT: dict[str, Any] = {
    "+": lambda a, b: a + b,
    "mixed": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _divide,
    "neg": lambda a: -a,
    "^": _power,
    "sqrt": lambda a: _rational_root(a, 2),
    "cbrt": lambda a: _rational_root(a, 3),
    "root": lambda a, n: _rational_root(a, int(n)) if n.denominator == 1 and 0 < n < 64 else None,
    "abs": abs,
    "floor": lambda a: Fraction(math.floor(a)),
    "ceil": lambda a: Fraction(math.ceil(a)),
    "factorial": _factorial,
    "double_factorial": _double_factorial,
    "binom": _binomial,
    "gcd": _whole(math.gcd),
    "lcm": _whole(math.lcm),
    "max": lambda *a: max(a),
    "min": lambda *a: min(a),
}
