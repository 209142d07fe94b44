"""Values of expressions to as many digits as `mp` works with, each operation with its limit."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
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
        if mp.mpf(power) != b or not -64 <= power <= 64 or a.rows != a.cols:
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


def _snapped(value: Value) -> Value:
    """Return the whole number that a value is but for rounding errors, or the value."""
    if isinstance(value, mp.mpf) and mp.isfinite(value):
        whole = mp.nint(value)
        if abs(value - whole) <= mp.mpf(10) ** (12 - mp.dps) * max(1, abs(whole)):
            return whole
    return value


def _hyperbolic(function: Any) -> Any:
    def apply(x: Value) -> Value:
        _exp(abs(x))  # as large as that, so as limited
        return function(x)

    return apply


FUNCTIONS: dict[str, Any] = {
    "+": _add,
    "mixed": _add,
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
    "floor": lambda a: mp.floor(_snapped(a)),
    "ceil": lambda a: mp.ceil(_snapped(a)),
    "trace": lambda a: mp.fsum(a[k, k] for k in range(a.rows)),
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


def _loses(name: str, arguments: list[Value]) -> bool:
    """Whether an operation's rounded result tells nothing of one of its arguments."""
    if any(isinstance(a, mp.matrix) or not a or not mp.isfinite(a) for a in arguments):
        return False
    bits = mp.prec * 11 // 20
    sizes = [mp.mag(a) for a in arguments]
    if name in ("+", "-", "mixed"):
        return bool(abs(sizes[0] - sizes[1]) > bits)
    if name in ("exp", "cos", "cosh", "sec", "sech", "cis"):
        return bool(2 * sizes[0] < -bits) or (name == "cosh" and bool(3 * abs(arguments[0]) > bits))
    if name in ("sinh", "tanh", "coth"):
        return bool(3 * abs(arguments[0]) > bits)
    if name in ("arctan", "arccot", "artanh"):
        return bool(sizes[0] > bits)
    if name == "^":
        return bool(sizes[1] + max(1, abs(sizes[0])).bit_length() < -bits)
    return False


class Evaluator:
    """Finds values at one point, with the working precision of `mp`.

    Args:
        values: of the variables.
        budget: of steps.
        real: whether a part that is no real number makes the whole undefined, as in school.
        salt: what named functions such as f(x) are made of; one comparison uses one salt.

    Attributes:
        largest: the largest term of a sum on the way; rounding errors are a share of it.
        approximate: whether a part was found to some fifteen digits only.
        infinite: whether infinity was a part, with which no arithmetic is proved.
        lossy: whether rounding took a whole part away, as in 1 + e^(-1000): then a value that
            is the same says little.
    """

    def __init__(
        self,
        values: Mapping[str, Value],
        budget: Budget,
        *,
        real: bool = False,
        salt: Sequence[float] = (1.25, 0.75, 1.5, 0.5),
    ) -> None:
        self.values = dict(values)
        self.budget = budget
        self.real = real
        self.salt = salt
        self.largest: Value = mp.mpf(0)
        self.approximate = False
        self.infinite = False
        self.lossy = False

    def value(self, node: Node) -> Value:
        """Return the value of an expression.

        Raises:
            TooLarge: a number or the work is beyond the limits.
            Undefined: there is no value here.
            Unreadable: the node is no expression.
        """
        try:
            return self._value(node)
        except (ZeroDivisionError, mpmath.libmp.ComplexResult, mp.NoConvergence) as error:
            raise Undefined(str(error)) from error
        except (OverflowError, MemoryError) as error:
            raise TooLarge(str(error)) from error
        except (ValueError, TypeError, AttributeError) as error:
            if isinstance(error, Unreadable):
                raise
            raise Undefined(str(error)) from error  # a matrix where a number must stand

    def _value(self, node: Node) -> Value:
        self.budget.spend()
        if isinstance(node, Number):
            return mp.mpf(node.value.numerator) / node.value.denominator
        if isinstance(node, Symbol):
            return self._symbol(node.name)
        if isinstance(node, Apply):
            return self._apply(node)
        if isinstance(node, Quantity) and node.unit == (("%", 1),):
            return self._value(node.value) / 100
        if isinstance(node, Quantity) and node.unit == (("degree", 1),):
            return self._value(node.value) * mp.pi / 180
        if isinstance(node, Bound):
            return self._bound(node)
        if isinstance(node, Matrix):
            return mp.matrix([[self._value(entry) for entry in row] for row in node.rows])
        raise Unreadable(f"a {type(node).__name__.lower()} has no value")

    def _apply(self, node: Apply) -> Value:
        if node.name in ("det", "inverse") and len(node.arguments) == 1:
            inner = self._value(node.arguments[0])
            if not isinstance(inner, mp.matrix) or inner.rows != inner.cols:
                raise Undefined("no square matrix")
            self.budget.spend(inner.rows**3)
            return mp.det(inner) if node.name == "det" else inner**-1
        arguments = [self._value(argument) for argument in node.arguments]
        if node.name.startswith("unknown:"):
            return self._unknown(node.name, arguments)
        function = FUNCTIONS.get(node.name)
        if function is None:
            raise Unreadable(f"{node.name} has no value")
        if node.name in ("+", "-", "mixed"):
            for term in arguments:
                if not isinstance(term, mp.matrix) and mp.isfinite(term):
                    self.largest = max(self.largest, abs(term))
        self.lossy = self.lossy or _loses(node.name, arguments)
        found = sized(function(*arguments))
        if self.real and isinstance(found, mp.mpc):
            if found.imag:
                raise Undefined("no real value")
            return found.real
        return found

    def _symbol(self, name: str) -> Value:
        if name in self.values:
            return self.values[name]
        if name == "pi":
            return +mp.pi
        if name == "e":
            return +mp.e
        if name == "i":
            return mp.mpc(0, 1)
        if name == "infinity":
            self.infinite = True
            return mp.inf
        raise Unreadable(f"{name} has no value")

    def _unknown(self, name: str, arguments: list[Value]) -> Value:
        """Give a function that is only named a value that depends on its arguments alone."""
        a, b, c, d = self.salt
        total = mp.mpf(zlib.crc32(name.encode()) % 9973 + 2) / 997
        for place, argument in enumerate(arguments, 2):
            total = total * a + mp.atan(argument * b + place) + c * mp.cos(d * argument + total)
        return total

    def _bound(self, node: Bound) -> Value:
        def body(x: Value) -> Value:
            outside = self.values
            self.values = {**outside, node.variable: x}
            try:
                return self._value(node.body)
            finally:
                self.values = outside

        if node.name in ("lim", "diff", "antiderivative"):
            raise Undefined(f"no value of {node.name} but by calculus")
        low, high = self._value(node.low), self._value(node.high)
        if node.name == "int":
            self.approximate = True
            with mp.workdps(20):
                return mp.quad(body, [low, high])
        if mp.isinf(high):
            self.approximate = True
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


def evaluate(node: Node, values: Mapping[str, Value], budget: Budget) -> Value:
    """Return the value of an expression; see `Evaluator.value`."""
    return Evaluator(values, budget).value(node)
