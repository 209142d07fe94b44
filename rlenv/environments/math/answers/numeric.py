"""Values of expressions to as many digits as `mp` works with."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import mpmath
from mpmath import mp

from .errors import TooLarge, Undefined, Unreadable
from .functions import FUNCTIONS, Value, sized
from .limits import MOST_TERMS, Budget
from .nodes import Apply, Bound, Matrix, Node, Number, Quantity, Symbol


def evaluate(node: Node, values: Mapping[str, Value], budget: Budget) -> Value:
    """Return the value with the working precision of `mp`.

    Args:
        node: an expression.
        values: of its variables.
        budget: of steps.

    Raises:
        TooLarge: a number or the work is beyond the limits.
        Undefined: there is no value here.
        Unreadable: the node is no expression.
    """
    try:
        return _value(node, values, budget)
    except (ZeroDivisionError, mpmath.libmp.ComplexResult, mp.NoConvergence) as error:
        raise Undefined(str(error)) from error
    except (OverflowError, MemoryError) as error:
        raise TooLarge(str(error)) from error
    except (ValueError, TypeError, AttributeError) as error:
        if isinstance(error, Unreadable):
            raise
        raise Undefined(str(error)) from error  # a matrix where a number must stand, and the like


def _value(node: Node, values: Mapping[str, Value], budget: Budget) -> Value:
    budget.spend()
    if isinstance(node, Number):
        return mp.mpf(node.value.numerator) / node.value.denominator
    if isinstance(node, Symbol):
        return _symbol(node.name, values)
    if isinstance(node, Apply):
        if node.name == "det" and isinstance(node.arguments[0], Matrix):
            budget.spend(len(node.arguments[0].rows) ** 3)
            return mp.det(_value(node.arguments[0], values, budget))
        arguments = [_value(argument, values, budget) for argument in node.arguments]
        if node.name.startswith("unknown:"):
            return _unknown(node.name, arguments)
        function = FUNCTIONS.get(node.name)
        if function is None:
            raise Unreadable(f"{node.name} has no value")
        return sized(function(*arguments))
    if isinstance(node, Quantity) and node.unit == (("%", 1),):
        return _value(node.value, values, budget) / 100
    if isinstance(node, Quantity) and node.unit == (("degree", 1),):
        return _value(node.value, values, budget) * mp.pi / 180
    if isinstance(node, Bound):
        return _bound(node, values, budget)
    if isinstance(node, Matrix):
        return mp.matrix([[_value(entry, values, budget) for entry in row] for row in node.rows])
    raise Unreadable(f"a {type(node).__name__.lower()} has no value")


def _symbol(name: str, values: Mapping[str, Value]) -> Value:
    if name in values:
        return values[name]
    if name == "pi":
        return +mp.pi
    if name == "e":
        return +mp.e
    if name == "i":
        return mp.mpc(0, 1)
    if name == "infinity":
        return mp.inf
    raise Unreadable(f"{name} has no value")


def _unknown(name: str, arguments: list[Value]) -> Value:
    """Give a function that is only named a value that depends on its arguments alone."""
    total = mp.mpf(zlib.crc32(name.encode()) % 9973 + 2) / 997
    for place, argument in enumerate(arguments, 2):
        total = total + (mp.mpf(place) / 7 + total) * argument + argument * argument / (place + 11)
    return total


def _bound(node: Bound, values: Mapping[str, Value], budget: Budget) -> Value:
    def body(x: Value) -> Value:
        return _value(node.body, {**values, node.variable: x}, budget)

    low, high = (_value(n, values, budget) for n in (node.low, node.high))
    if node.name == "lim":
        return _limit(body, low)
    if node.name == "int":
        with mp.workdps(20):
            return mp.quad(body, [low, high])
    if mp.isinf(high):
        with mp.workdps(20):
            return (mp.nsum if node.name == "sum" else mp.nprod)(body, [low, high])
    if not (mp.isint(low) and mp.isint(high)):
        raise Undefined("bounds that are no whole numbers")
    if high - low > MOST_TERMS:
        raise TooLarge("a sum of more terms than can be added up")
    total = mp.mpf(0 if node.name == "sum" else 1)
    for k in range(int(low), int(high) + 1):
        term = body(mp.mpf(k))
        total = sized(total + term if node.name == "sum" else total * term)
    return total


def _limit(body: Any, point: Value) -> Value:
    with mp.workdps(20):
        if mp.isinf(point):
            return mp.limit(lambda n: body(n if point > 0 else -n), mp.inf)
        return mp.limit(lambda n: body(point + mp.power(2, -n)), mp.inf)
