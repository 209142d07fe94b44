"""Sets of real numbers as unions of intervals."""

from __future__ import annotations

import operator
import random
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

from mpmath import mp

from . import symbolic
from .exact import exact
from .limits import Budget, Undefined, Unreadable
from .nodes import (
    Apply,
    Node,
    Number,
    Relation,
    Row,
    SetOperation,
    Several,
    Symbol,
    substitute,
    variables,
    walk,
)
from .numeric import evaluate
from .rational import identical

Value = Any
Evaluate = Callable[[Node], Value | None]
_LOST = 20  # digits of the working precision that rounding errors may take


class Interval(NamedTuple):
    """From low to high; the flags say whether the ends belong to it."""

    low: Value
    high: Value
    with_low: bool
    with_high: bool


RealSet = list[Interval]
EVERYTHING = [Interval(mp.ninf, mp.inf, False, False)]


class RegionReader:
    """Reads sets of real numbers: intervals, unions, finite sets, inequalities in one variable.

    Args:
        number: returns the value of a constant in the working precision of `mp`, or None.
        budget: of steps.

    Attributes:
        irrational: whether an end is only known to the digits of the working precision.
    """

    def __init__(self, number: Evaluate, budget: Budget) -> None:
        self.number = number
        self.budget = budget
        self.irrational = False

    def region(self, node: Node) -> RealSet | None:
        """Return the set in order, without overlaps; None where the node is no such set."""
        found = self._read(node)
        return None if found is None else _merge(found)

    def _end(self, node: Node) -> Value | None:
        try:
            self.irrational = self.irrational or exact(node, self.budget) is None
        except Undefined:
            return None
        return self.number(node)

    def _read(self, node: Node) -> RealSet | None:
        if isinstance(node, Row) and len(node.items) == 2:
            low, high = map(self._end, node.items)
            if low is None or high is None or low > high:
                return None
            return [Interval(low, high, node.opening == "[", node.closing == "]")]
        if isinstance(node, Several) and node.braces:
            values = [self._end(item) for item in node.items]
            if any(v is None for v in values):
                return None
            return [Interval(v, v, True, True) for v in values]
        if isinstance(node, Several):
            if any(isinstance(item, Several) and item.braces for item in node.items):
                return None  # a list of sets is no union of them
            parts = [self._read(item) for item in node.items]
            if any(part is None for part in parts):
                return None
            return [interval for part in parts if part is not None for interval in part]
        if isinstance(node, Symbol) and node.name == "set:reals":
            return EVERYTHING
        if isinstance(node, SetOperation):
            return self._operation(node)
        return self._chain(node) if isinstance(node, Relation) else None

    def _operation(self, node: SetOperation) -> RealSet | None:
        left, right = self._read(node.left), self._read(node.right)
        if left is None or right is None:
            return None
        if node.name == "union":
            return left + right
        if node.name == "conditions":  # 1 < x, x < 5 holds for both; x < 1, x > 5 for either
            return _intersect(_merge(left), _merge(right)) or left + right
        if node.name == "minus":
            right = _complement(_merge(right))
        return _intersect(_merge(left), _merge(right))

    def _chain(self, relation: Relation) -> RealSet | None:
        """Solve a chain of inequalities in one variable."""
        names = variables(relation)
        if len(names) != 1:
            return None
        solution: RealSet = EVERYTHING
        for left, sign, right in zip(
            relation.sides[:-1], relation.signs, relation.sides[1:], strict=True
        ):
            if sign == "in":
                part = self._read(right) if left == Symbol(min(names)) else None
            else:
                part = self._solve(Relation((left, right), (sign,)), min(names))
            if part is None:
                return None
            solution = _intersect(solution, part)
        return solution

    def _solve(self, relation: Relation, name: str) -> RealSet | None:
        left, right = relation.sides
        difference = Apply("-", (left, right))
        at = [substitute(difference, name, Number(Fraction(n))) for n in (0, 1)]
        slope = Apply("-", (at[1], at[0]))
        line = Apply("+", (at[0], Apply("*", (slope, Symbol(name)))))
        try:
            linear = identical(difference, line, self.budget)
        except Undefined:
            linear = False
        if linear:
            rise, start = self.number(slope), self.number(at[0])
            if rise and start is not None and mp.isfinite(rise):
                root = exact(Apply("neg", (Apply("/", (at[0], slope)),)), self.budget)
                self.irrational = self.irrational or root is None
                end = -start / rise if root is None else mp.mpf(root.numerator) / root.denominator
                sign = relation.signs[0]
                return _half_line(sign if rise > 0 else _TURN.get(sign, sign), end)
        if not all(isinstance(n, _PARTS) for n in walk(relation)):
            return None
        solved = symbolic.solution(relation, name, mp.dps)
        if solved is None:
            return None
        self.irrational = True
        found = _merge([Interval(*interval) for interval in solved])
        return found if self._is_confirmed(relation, name, found) else None

    def _is_confirmed(self, relation: Relation, name: str, region: RealSet) -> bool:
        """Whether the relation holds at points inside of a region and fails at points outside."""
        for part, holds in ((region, True), (_complement(region), False)):
            for interval in part:
                if interval.low == interval.high:
                    continue
                for point in _inside(interval):
                    values = {name: point}
                    try:
                        sides = [evaluate(n, values, self.budget) for n in relation.sides]
                    except (Undefined, Unreadable):
                        if holds:
                            return False
                        continue
                    if not all(isinstance(side, mp.mpf) for side in sides):
                        if holds:
                            return False
                    elif _HOLDS[relation.signs[0]](*sides) != holds:
                        return False
        return True


_PARTS = (Apply, Number, Relation, Symbol)
_HOLDS = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq,
    "!=": operator.ne,
}  # fmt: skip


def _inside(interval: Interval) -> list[Value]:
    """Draw three points inside an interval."""
    shares = [mp.mpf(random.SystemRandom().getrandbits(40) + 1) / (1 << 41) for _ in range(3)]
    low, high = interval.low, interval.high
    if mp.isinf(low) and mp.isinf(high):
        return [1 / share - 4 for share in shares]
    if mp.isinf(low):
        return [high - 1 / share + 1 for share in shares]
    if mp.isinf(high):
        return [low + 1 / share - 1 for share in shares]
    return [low + 2 * share * (high - low) for share in shares]


_TURN = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}


def _half_line(sign: str, end: Value) -> RealSet | None:
    below = Interval(mp.ninf, end, False, sign == "<=")
    above = Interval(end, mp.inf, sign == ">=", False)
    if sign in ("<", "<="):
        return [below]
    if sign in (">", ">="):
        return [above]
    if sign == "!=":
        return [below, above]
    return [Interval(end, end, True, True)]


def _merge(intervals: RealSet) -> RealSet:
    """Order the intervals and join those that touch."""
    merged: RealSet = []
    for new in sorted(intervals, key=lambda i: (i.low, not i.with_low)):
        if new.low == new.high and not (new.with_low and new.with_high):
            continue
        if merged:
            last = merged[-1]
            touching = last.high == new.low and (last.with_high or new.with_low)
            if touching or last.high > new.low:
                if new.high > last.high:
                    merged[-1] = Interval(last.low, new.high, last.with_low, new.with_high)
                elif new.high == last.high:
                    ends = last.with_high or new.with_high
                    merged[-1] = Interval(last.low, last.high, last.with_low, ends)
                continue
        merged.append(_open_ended(new))
    return merged


def _open_ended(interval: Interval) -> Interval:
    """An infinite end never belongs to a set of real numbers, however it is written."""
    return Interval(
        interval.low,
        interval.high,
        interval.with_low and not mp.isinf(interval.low),
        interval.with_high and not mp.isinf(interval.high),
    )


def _complement(intervals: RealSet) -> RealSet:
    low, with_low = mp.ninf, False
    gaps = []
    for interval in intervals:
        gaps.append(Interval(low, interval.low, with_low, not interval.with_low))
        low, with_low = interval.high, not interval.with_high
    gaps.append(Interval(low, mp.inf, with_low, False))
    return [g for g in gaps if g.low < g.high or (g.low == g.high and g.with_low and g.with_high)]


def _intersect(a: RealSet, b: RealSet) -> RealSet:
    found = []
    for x in a:
        for y in b:
            low, high = max(x.low, y.low), min(x.high, y.high)
            with_low = (x.with_low or low > x.low) and (y.with_low or low > y.low)
            with_high = (x.with_high or high < x.high) and (y.with_high or high < y.high)
            if low < high or (low == high and with_low and with_high):
                found.append(Interval(low, high, with_low, with_high))
    return _merge(found)


def same_set(a: RealSet, b: RealSet) -> bool:
    """Whether two sets have the same intervals, up to rounding."""

    def near(x: Value, y: Value) -> bool:
        return bool(
            x == y
            or (
                not mp.isinf(x)
                and not mp.isinf(y)
                and abs(x - y) <= mp.mpf(10) ** (_LOST - mp.dps) * max(abs(x), abs(y), 1)
            )
        )

    return len(a) == len(b) and all(
        near(x.low, y.low)
        and near(x.high, y.high)
        and (x.with_low, x.with_high) == (y.with_low, y.with_high)
        for x, y in zip(a, b, strict=True)
    )
