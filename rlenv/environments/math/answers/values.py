"""Whether two values are the same: numbers, constants, functions of variables."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterable, Sequence
from fractions import Fraction

from mpmath import mp

from .exact import exact
from .limits import Budget, Undefined, Unreadable
from .nodes import (
    Apply,
    Bound,
    Node,
    Number,
    Quantity,
    Relation,
    Row,
    SetOperation,
    Several,
    Symbol,
    substitute,
    variables,
    walk,
)
from .numeric import Value, evaluate

DIGITS = 50  # of the working precision; a second look takes twice as many
_FEW = 6  # digits from which a decimal may stand for a value that it rounds
_MANY = 10  # digits from which two decimals may differ in the last one
# points at which expressions are compared: positive ones first, where roots and logarithms live
_POINTS = (
    (Fraction(1327, 1009), Fraction(377, 3001)),
    (Fraction(2719, 1013), Fraction(-419, 2003)),
    (Fraction(401, 1019), Fraction(283, 4001)),
    (Fraction(-1601, 1021), Fraction(-211, 3011)),
    (Fraction(-353, 1031), Fraction(367, 2011)),
    (Fraction(5003, 1033), Fraction(1009, 3019)),
)
NEEDED = 2  # points at which both sides must have a value


class Values:
    """The rules for single values; those for all else are built on it.

    Args:
        budget: of steps.
    """

    def __init__(self, budget: Budget | None = None) -> None:
        self.budget = budget or Budget()
        self.rule = "value"

    def _same(self, a: Node, b: Node) -> bool:
        """Whether two normalized answers of any kind are the same."""
        raise NotImplementedError

    def _values(self, a: Node, b: Node) -> bool:
        """Whether two expressions have the same value."""
        if any(isinstance(n, Quantity) for n in (a, b)):
            return self._same(a, b)
        names = sorted(variables(a) | variables(b))
        if names:
            self.rule = "equal at all points"
            return self._functions(a, b, names)
        self.rule = "value"
        try:
            first, second = exact(a, self.budget), exact(b, self.budget)
        except Undefined:  # 1/0 is nothing, so it equals nothing
            return False
        if first is not None and second is not None:
            return first == second or self._rounding(a, b, first, second)
        return self._constants(a, b, first, second)

    def _rounding(self, a: Node, b: Node, x: Fraction, y: Fraction) -> bool:
        """Whether one is a decimal that the other rounds to."""
        for decimal, other in ((a, y), (b, x)):
            if not isinstance(decimal, Number) or decimal.digits is None:
                continue
            needed = _MANY if _ends(other) else _FEW
            if decimal.digits >= needed and abs(x - y) < Fraction(1, 10**decimal.places):
                return True
        tolerance = _tolerance(a, b, _MANY if _ends(x) and _ends(y) else _FEW)
        return tolerance is not None and abs(x - y) <= tolerance * max(abs(x), abs(y))

    def _constants(self, a: Node, b: Node, x: Fraction | None, y: Fraction | None) -> bool:
        """Compare constants of which at least one is irrational, to fifty and a hundred digits."""
        if not (is_expression(a) and is_expression(b)):
            return False
        looks = []
        for digits in (DIGITS, 2 * DIGITS):
            with mp.workdps(digits):
                try:
                    looks.append([evaluate(n, {}, self.budget) for n in (a, b)])
                except (Undefined, Unreadable):
                    return False
            if any(isinstance(v, mp.matrix) for v in looks[-1]):
                return self._same_matrices(*looks[-1])
        if any(mp.isinf(v) for v in looks[0]):
            return bool(looks[0][0] == looks[0][1])
        with mp.workdps(DIGITS):
            tolerance = _tolerance(a, b, _FEW)
            decimals = [n for n in (a, b) if isinstance(n, Number) and (n.digits or 0) >= _FEW]
            gap = abs(looks[1][0] - looks[1][1])
            if decimals:
                return bool(gap < mp.mpf(10) ** -max(n.places for n in decimals))
            limit = mp.mpf(10) ** (10 - DIGITS)
            if tolerance is not None:
                limit = max(limit, mp.mpf(tolerance.numerator) / tolerance.denominator)
            if any(_is_rounded(n) for n in (a, b)):
                limit = max(limit, mp.mpf(10) ** -10)
            # a value that changes with the precision is zero and noise
            solid = [
                near(one, two, limit) and abs(two) > mp.mpf(10) ** (10 - 2 * DIGITS)
                for one, two in zip(*looks, strict=True)
            ]
            if any(solid):
                return near(looks[1][0], looks[1][1], limit)
            return bool(gap < mp.mpf(10) ** (20 - 2 * DIGITS))

    def _same_matrices(self, a: Value, b: Value) -> bool:
        if not all(isinstance(m, mp.matrix) for m in (a, b)) or (a.rows, a.cols) != (
            b.rows,
            b.cols,
        ):
            return False
        return all(near(x, y, mp.mpf(10) ** -20) for x, y in zip(a, b, strict=True))

    def _functions(self, a: Node, b: Node, names: list[str]) -> bool:
        """Compare expressions with variables at fixed points."""
        if {_last_term(a), _last_term(b)} == {Symbol("C"), Symbol("c")}:  # of integration
            a, b = (substitute(n, "c", Symbol("C")) for n in (a, b))
            names = sorted(variables(a) | variables(b))
        if not (is_expression(a) and is_expression(b)):
            return a == b
        if any(isinstance(n, Symbol) and n.name == "ldots" for x in (a, b) for n in walk(x)):
            return a == b
        tolerance = _tolerance(a, b, _FEW)
        valid = 0
        with mp.workdps(DIGITS):
            limit = mp.mpf(10) ** (15 - DIGITS)
            if tolerance is not None:
                limit = mp.mpf(tolerance.numerator) / tolerance.denominator
            if any(_is_rounded(n) for n in (a, b)):
                limit = max(limit, mp.mpf(10) ** -10)
            differ = False
            for place, values in enumerate(assignments(names)):
                try:
                    x, y = (evaluate(n, values, self.budget) for n in (a, b))
                except Undefined:
                    continue
                except Unreadable:
                    return False
                if any(isinstance(v, mp.matrix) for v in (x, y)):
                    if not self._same_matrices(x, y):
                        return False
                    valid += 1
                    continue
                if not mp.isfinite(x) or not mp.isfinite(y):
                    continue
                real = [not isinstance(v, mp.mpc) or abs(v.imag) < limit for v in (x, y)]
                if place >= 3 and place != 5 and not all(real):
                    continue  # roots and logarithms of negative numbers are nobody's answer
                valid += 1
                if not near(x, y, limit):
                    differ = True
                    break
        if differ:
            return self._whole_numbers(a, b, names)
        if valid < NEEDED:
            return self._whole_numbers(a, b, names)
        return True

    def _whole_numbers(self, a: Node, b: Node, names: list[str]) -> bool:
        """Compare at whole numbers, where the expressions only make sense there."""
        if not set(names) <= {"n", "k", "m", "j"} or not any(_needs_whole(x) for x in (a, b)):
            return False
        with mp.workdps(DIGITS):
            for point in range(1, 9):
                values = {name: mp.mpf(point + 2 * i) for i, name in enumerate(names)}
                try:
                    x, y = (evaluate(n, values, self.budget) for n in (a, b))
                except (Undefined, Unreadable):
                    return False
                if not near(x, y, mp.mpf(10) ** (15 - DIGITS)):
                    return False
        return True

    def _number(self, node: Node) -> Value | None:
        """Return the real value of a constant, or None."""
        if isinstance(node, Quantity):
            node = node.value
        if variables(node) or not is_expression(node):
            return None
        with mp.workdps(DIGITS):
            try:
                value = evaluate(node, {}, self.budget)
            except (Undefined, Unreadable):
                return None
        return value if isinstance(value, mp.mpf) else None


def is_expression(node: Node) -> bool:
    """Whether it has one value: it is no collection, relation or set of numbers."""
    return not isinstance(node, (Row, Several, Relation, SetOperation))


def _last_term(node: Node) -> Node | None:
    return node.arguments[-1] if isinstance(node, Apply) and node.name == "+" else None


def _ends(value: Fraction) -> bool:
    """Whether a value's decimal expansion ends."""
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1


def _tolerance(a: Node, b: Node, needed: int) -> Fraction | None:
    """Return how far apart expressions with rounded decimals in them may lie; None: not at all."""
    digits = [
        n.digits for x in (a, b) for n in walk(x) if isinstance(n, Number) and n.digits is not None
    ]
    digits = [d for d in digits if d >= needed]
    return Fraction(1, 10 ** (min(digits) - 1)) if digits else None


def _is_rounded(node: Node) -> bool:
    """Whether a part's value is only found to some twenty digits."""
    return any(
        isinstance(n, Bound) and (n.name in ("int", "lim") or Symbol("infinity") in (n.low, n.high))
        for n in walk(node)
    )


def _needs_whole(node: Node) -> bool:
    return any(
        (isinstance(n, Bound) and n.name in ("sum", "prod"))
        or (
            isinstance(n, Apply)
            and (
                n.name in ("factorial", "binom", "sin", "cos", "floor", "ceil")
                or (n.name == "^" and n.arguments[0] in (_MINUS_ONE, Apply("neg", (_ONE,))))
            )
        )
        for n in walk(node)
    )


_ONE = Number(Fraction(1))
_MINUS_ONE = Number(Fraction(-1))


def near(a: Value, b: Value, limit: Value) -> bool:
    """Whether two values differ by no more than a share of the larger one."""
    gap = abs(a - b)
    return bool(gap == 0 or gap <= limit * max(abs(a), abs(b)))


def assignments(names: Sequence[str]) -> Iterable[dict[str, Value]]:
    """Yield values for the variables, in the working precision."""
    for start, step in _POINTS:
        values = [start + step * _place(i) for i in range(len(names))]
        yield {
            name: mp.mpf(value.numerator) / value.denominator
            for name, value in zip(names, values, strict=True)
        }


@functools.cache
def _place(i: int) -> Fraction:
    """Return where the i-th variable lies: unevenly spaced, or a + d would always be b + c."""
    return i + Fraction(random.Random(i).getrandbits(40), 1 << 40)
