"""Functions of numbers and matrices of many digits, each with the limit of what it may make."""

from __future__ import annotations

import math
from typing import Any

from mpmath import mp

from .errors import TooLarge, Undefined
from .limits import LARGEST_ANGLE, LARGEST_EXPONENT, LARGEST_FACTORIAL

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
