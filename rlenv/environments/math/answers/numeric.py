"""Values of expressions to as many digits as `mp` works with, each operation with its limit."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from typing import Any

import mpmath
from mpmath import mp

from .limits import (
    LARGEST_ANGLE,
    LARGEST_EXPONENT,
    LARGEST_FACTORIAL,
    MOST_TERMS,
    Budget,
    TooLarge,
    Undefined,
    Unreadable,
)
from .nodes import Apply, Bound, Matrix, Node, Number, Quantity, Symbol

Value = Any  # an mpf, an mpc or an mpmath matrix


def sized(value: Value) -> Value:
    """Return a value as it is.

    Raises:
        TooLarge: it is beyond the limits.
        Undefined: it is no number.
    """
    parts = (value.real, value.imag) if isinstance(value, mp.mpc) else (value,)
    for part in parts:
        if isinstance(part, mp.mpf):
            if mp.isnan(part):
                raise Undefined("no number")
            if not mp.isinf(part) and part and abs(mp.mag(part)) > LARGEST_EXPONENT:
                raise TooLarge("a number beyond the limits")
    return value


def _pow(a: Value, b: Value) -> Value:
    if isinstance(a, mp.matrix):
        power = int(mp.nint(b))
        if mp.mpf(power) != b or not 0 < power <= 64:
            raise Undefined("no such power of a matrix")
        return a**power
    if a == 0:
        if mp.re(b) > 0:
            return mp.mpf(0)
        if b == 0:
            return mp.mpf(1)
        raise Undefined("a division by zero")
    if mp.isinf(a) or mp.isinf(b):
        return mp.power(a, b)
    if abs(b) * (abs(mp.mag(a)) + 1) > LARGEST_EXPONENT:
        raise TooLarge("a power beyond the limits")
    if isinstance(a, mp.mpf) and a < 0 and isinstance(b, mp.mpf) and not mp.isint(b):
        odd = _odd_root(b)
        if odd is not None:
            return odd * mp.power(-a, b)
    return mp.power(a, b)


def _odd_root(exponent: Value) -> int | None:
    """Return the sign of a negative number's power p/q with q odd: (-8)^(1/3) is -2."""
    for q in (3, 5, 7, 9):
        p = mp.nint(exponent * q)
        if p and abs(exponent * q - p) < mp.mpf(10) ** (-mp.dps + 5):
            return -1 if int(p) % 2 else 1
    return None


def _root(a: Value, n: Value) -> Value:
    if n == 0:
        raise Undefined("a zeroth root")
    if mp.isint(n) and int(n) % 2 and isinstance(a, mp.mpf) and a < 0:
        return -_pow(-a, 1 / mp.mpf(n))
    return _pow(a, 1 / mp.mpf(n) if not isinstance(n, mp.mpc) else 1 / n)


def _exp(x: Value) -> Value:
    if not mp.isinf(x) and abs(x) > LARGEST_EXPONENT:
        raise TooLarge("a power beyond the limits")
    return mp.exp(x)


def _angle(function: Any) -> Any:
    def apply(x: Value) -> Value:
        if mp.isinf(x):
            raise Undefined("no value at infinity")
        if abs(x) > LARGEST_ANGLE:
            raise TooLarge("an angle beyond the limits")
        return function(x)

    return apply


def _log(x: Value, base: Value | None = None) -> Value:
    if x == 0:
        raise Undefined("the logarithm of zero")
    if base is None:
        return mp.log(x)
    if base in (0, 1):
        raise Undefined("no base of logarithms")
    return mp.log(x) / mp.log(base)


def _gamma_factorial(x: Value) -> Value:
    if abs(x) > LARGEST_FACTORIAL:
        raise TooLarge("a factorial beyond the limits")
    return mp.factorial(x)


def _double(x: Value) -> Value:
    if abs(x) > LARGEST_FACTORIAL:
        raise TooLarge("a factorial beyond the limits")
    return mp.fac2(x)


def _binom(n: Value, k: Value) -> Value:
    if abs(n) > 1e6 or abs(k) > 1e6:
        raise TooLarge("a binomial beyond the limits")
    return mp.binomial(n, k)


def _add(a: Value, b: Value) -> Value:
    if isinstance(a, mp.matrix) != isinstance(b, mp.matrix):
        raise Undefined("a matrix and a number")
    return a + b


def _hyperbolic(function: Any) -> Any:
    def apply(x: Value) -> Value:
        _exp(abs(x))  # as large as that, so as limited
        return function(x)

    return apply


FUNCTIONS: dict[str, Any] = {
    "+": _add,
    "-": lambda a, b: _add(a, -b),
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "neg": lambda a: -a,
    "^": _pow,
    "sqrt": mp.sqrt,
    "cbrt": lambda a: _root(a, mp.mpf(3)),
    "root": _root,
    "abs": abs,
    "exp": _exp,
    "ln": _log,
    "log": _log,
    "log10": lambda x: _log(x, mp.mpf(10)),
    "floor": mp.floor,
    "ceil": mp.ceil,
    "factorial": _gamma_factorial,
    "double_factorial": _double,
    "binom": _binom,
    "degree": lambda a: a * mp.pi / 180,
    "transpose": lambda a: a.T,
    "cis": lambda x: _angle(mp.cos)(x) + mp.mpc(0, 1) * mp.sin(x),
    "conjugate": mp.conj,
    "Re": mp.re,
    "Im": mp.im,
    "arg": mp.arg,
    "sgn": mp.sign,
    "max": lambda *a: max(a),
    "min": lambda *a: min(a),
    "gcd": lambda *a: mp.mpf(math.gcd(*map(_int, a))),
    "lcm": lambda *a: mp.mpf(math.lcm(*map(_int, a))),
    **{name: _angle(getattr(mp, name)) for name in ("sin", "cos", "tan", "cot", "sec", "csc")},
    **{
        name: _hyperbolic(getattr(mp, name))
        for name in ("sinh", "cosh", "tanh", "coth", "sech", "csch")
    },
    "arcsin": mp.asin,
    "arccos": mp.acos,
    "arctan": mp.atan,
    "arccot": mp.acot,
    "arsinh": mp.asinh,
    "arcosh": mp.acosh,
    "artanh": mp.atanh,
}


def _int(value: Value) -> int:
    if not mp.isint(value) or abs(value) > 10**60:
        raise Undefined("no whole number")
    return int(value)


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
