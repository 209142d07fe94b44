"""Sets of real numbers as unions of intervals."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

from mpmath import mp

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
)

Value = Any
Evaluate = Callable[[Node], Value | None]
_DIGITS = 25


class Interval(NamedTuple):
    """From low to high; the flags say whether the ends belong to it."""

    low: Value
    high: Value
    with_low: bool
    with_high: bool


RealSet = list[Interval]
EVERYTHING = [Interval(mp.ninf, mp.inf, False, False)]


def real_set(node: Node, number: Evaluate) -> RealSet | None:
    """Read an interval, a union, a finite set of numbers or an inequality in one variable.

    Args:
        node: an answer.
        number: gives the value of a constant, or None.

    Returns:
        Disjoint intervals in order, or None where the node is no such set.
    """
    found = _read(node, number)
    return None if found is None else _merge(found)


def _read(node: Node, number: Evaluate) -> RealSet | None:
    if isinstance(node, Row) and len(node.items) == 2:
        low, high = (number(item) for item in node.items)
        if low is None or high is None or low > high:
            return None
        return [Interval(low, high, node.opening == "[", node.closing == "]")]
    if isinstance(node, Several) and node.braces:
        values = [number(item) for item in node.items]
        if any(v is None for v in values):
            return None
        return [Interval(v, v, True, True) for v in values]
    if isinstance(node, Several):
        parts = [_read(item, number) for item in node.items]
        if any(part is None for part in parts):
            return None
        return [interval for part in parts if part is not None for interval in part]
    if isinstance(node, Symbol) and node.name == "set:reals":
        return EVERYTHING
    if isinstance(node, SetOperation):
        left, right = _read(node.left, number), _read(node.right, number)
        if left is None or right is None:
            return None
        if node.name == "union":
            return left + right
        if node.name == "conditions":  # 1 < x, x < 5 holds for both; x < 1, x > 5 for either
            return _intersect(_merge(left), _merge(right)) or left + right
        if node.name == "minus":
            right = _complement(_merge(right))
        return _intersect(_merge(left), _merge(right))
    if isinstance(node, Relation):
        return _solve(node, number)
    return None


def _solve(relation: Relation, number: Evaluate) -> RealSet | None:
    """Solve an inequality, or a chain of them, that is linear in its one variable."""
    names = variables(relation)
    if len(names) != 1:
        return None
    solution: RealSet = EVERYTHING
    for left, sign, right in zip(
        relation.sides[:-1], relation.signs, relation.sides[1:], strict=True
    ):
        part = _solve_one(left, sign, right, next(iter(names)), number)
        if part is None:
            return None
        solution = _intersect(solution, part)
    return solution


def _solve_one(left: Node, sign: str, right: Node, name: str, number: Evaluate) -> RealSet | None:
    if sign == "in":
        return _read(right, number) if left == Symbol(name) else None
    for side, other, way in ((left, right, sign), (right, left, _TURN.get(sign, sign))):
        if isinstance(side, Apply) and side.name == "abs" and name in variables(side):
            bound = number(other)
            if bound is None or bound < 0:
                return None
            inner, edge = side.arguments[0], Number(Fraction(0))
            low = _solve_one(inner, _TURN.get(way, way), Apply("neg", (other,)), name, number)
            high = _solve_one(inner, way, other, name, number)
            if low is None or high is None or edge is None:
                return None
            return _intersect(low, high) if way in ("<", "<=", "!=") else _merge(low + high)
    difference = Apply("-", (left, right))
    values = []
    for point in (0, 1, 2, 5):
        value = number(substitute(difference, name, Number(Fraction(point))))
        if value is None or mp.isinf(value):
            break
        values.append(value)
    if len(values) < 4:
        return _solve_infinite(left, sign, right, name, number)
    slope = values[1] - values[0]
    small = mp.mpf(10) ** -_DIGITS * (1 + abs(slope))
    if slope == 0 or any(
        abs(v - values[0] - slope * p) > small for v, p in zip(values, (0, 1, 2, 5), strict=True)
    ):
        return None
    with mp.workdps(50):
        root = -values[0] / slope
    if slope < 0:
        sign = _TURN.get(sign, sign)
    return _half_line(sign, root)


def _solve_infinite(
    left: Node, sign: str, right: Node, name: str, number: Evaluate
) -> RealSet | None:
    """Read `x < infinity` and `-infinity < x`."""
    if left == Symbol(name):
        bound = number(right)
    elif right == Symbol(name):
        bound, sign = number(left), _TURN.get(sign, sign)
    else:
        return None
    return None if bound is None else _half_line(sign, bound)


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
                and abs(x - y) <= mp.mpf(10) ** -_DIGITS * max(abs(x), abs(y), mp.mpf(10) ** -20)
            )
        )

    return len(a) == len(b) and all(
        near(x.low, y.low)
        and near(x.high, y.high)
        and (x.with_low, x.with_high) == (y.with_low, y.with_high)
        for x, y in zip(a, b, strict=True)
    )
