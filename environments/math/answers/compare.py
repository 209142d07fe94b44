"""Whether two answers are the same.

The rules, by what the two answers are:

- Numbers without rounding are equal if they are exactly equal. A decimal with six digits or more
  also stands for the value that it is a rounding of, if that value has no end as a decimal; two
  decimals are compared to their last digit only from ten digits on.
- Expressions are equal if they agree, to fifty digits, wherever both are defined (checked at fixed
  points that no expression knows; Schwartz 1980 for polynomials).
- `x = 5` is 5, but `x = 5` is not `y = 5`; two equations are the same if one is a multiple of the
  other; an inequality in one variable is the set of its solutions.
- A list or a set holds the same members in any order; a tuple, a vector and a matrix have an
  order; an interval knows which of its ends belong to it.
- A unit may be missing on one side; two units must convert into each other. A percentage is its
  figure or a hundredth of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from fractions import Fraction

from mpmath import mp

from . import units
from .errors import TooLarge, Undefined, Unreadable
from .nodes import (
    Apply,
    Bound,
    Matrix,
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
from .numeric import Budget, Value, evaluate, exact
from .realsets import Interval, RealSet, real_set, same_set

DIGITS = 50  # of the working precision; a second look takes twice as many
_FEW = 6  # digits from which a decimal may stand for a value that it rounds
_MANY = 10  # digits from which two decimals may differ in the last one
_FLIP = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}
# points at which expressions are compared: positive ones first, where roots and logarithms live
_POINTS = (
    (Fraction(1327, 1009), Fraction(377, 3001)),
    (Fraction(2719, 1013), Fraction(-419, 2003)),
    (Fraction(401, 1019), Fraction(283, 4001)),
    (Fraction(-1601, 1021), Fraction(-211, 3011)),
    (Fraction(-353, 1031), Fraction(367, 2011)),
    (Fraction(5003, 1033), Fraction(1009, 3019)),
)
_NEEDED = 2  # points at which both sides must have a value


class Comparison:
    """One comparison: its budget and the rule that decided.

    Args:
        budget: of steps.
    """

    def __init__(self, budget: Budget | None = None) -> None:
        self.budget = budget or Budget()
        self.rule = "value"

    def same(self, a: Node, b: Node) -> bool:
        """Whether two answers are the same; symmetric in them.

        Raises:
            TooLarge: that takes more work or larger numbers than the limits allow.
        """
        a, b = tidy(a), tidy(b)
        if self._same(a, b):
            return True
        common = [_with_common_logarithms(n) for n in (a, b)]
        if common == [a, b]:
            return False
        self.rule = "log to the base 10"
        return self._same(common[0], b) or self._same(a, common[1])

    def _same(self, a: Node, b: Node) -> bool:
        self.budget.spend(10)
        if a == b:
            return True
        if OTHERWISE in (a, b):  # the last case of a function by cases, named or spelled out
            return isinstance(a, Relation) or isinstance(b, Relation)
        if isinstance(a, Relation) or isinstance(b, Relation):
            return self._relations(a, b)
        if _is_region(a) or _is_region(b):
            self.rule = "sets of numbers"
            first, second = (real_set(x, self._number) for x in (a, b))
            return first is not None and second is not None and same_set(first, second)
        if isinstance(a, Several) or isinstance(b, Several):
            return self._several(a, b)
        if isinstance(a, Row) or isinstance(b, Row):
            return self._rows(a, b)
        if isinstance(a, Quantity) or isinstance(b, Quantity):
            return self._quantities(a, b)
        for column, other in ((a, b), (b, a)):
            if isinstance(column, Matrix) and any(n[:5] == "unit:" for n in variables(other)):
                return self._rows(Row(column.children(), "(", ")"), other)
        if isinstance(a, Matrix) and isinstance(b, Matrix):
            self.rule = "matrix"
            return self._matrices(a, b)
        return self._values(a, b)

    # equations and inequalities

    def _relations(self, a: Node, b: Node) -> bool:
        self.rule = "relation"
        if not isinstance(b, Relation):
            return self._same_as_relation(b, a)
        if not isinstance(a, Relation):
            return self._same_as_relation(a, b)
        alike = a.sides[0] == b.sides[0] and a.signs == b.signs
        if alike and all(self._same(x, y) for x, y in zip(a.sides[1:], b.sides[1:], strict=True)):
            return True
        if set(a.signs) == {"="} == set(b.signs):
            return self._equations(a, b)
        if variables(a) != variables(b):
            return False
        first, second = (real_set(x, self._number) for x in (a, b))
        if first is not None and second is not None:
            return same_set(first, second)
        return self._inequalities(a, b)

    def _same_as_relation(self, value: Node, relation: Node) -> bool:
        """Compare a bare value, interval or set with `x = ...`, `x < ...` or `x in ...`."""
        assert isinstance(relation, Relation)
        if set(relation.signs) == {"="}:
            inner = _labelled(relation)
            if inner is None and _is_asked_for(relation.sides[0]) and not variables(value):
                inner = relation.sides[-1]
            if inner is None and not variables(relation) and self._holds(relation):
                inner = relation.sides[-1]  # 3/4 = 0.75
            return inner is not None and self._same(value, inner)
        region = real_set(relation, self._number)
        other = real_set(value, self._number)
        return region is not None and other is not None and same_set(region, other)

    def _holds(self, relation: Relation) -> bool:
        """Whether all sides of a chain of constants are equal."""
        first, *others = relation.sides
        return all(self._same(first, side) for side in others)

    def _equations(self, a: Relation, b: Relation) -> bool:
        first, second = _labelled(a), _labelled(b)
        renamed = _renamed(a.sides[0], b.sides[0])
        if first is not None and second is not None and renamed:
            for mine, other in renamed:
                first = substitute(first, mine, Symbol(other))
            return self._same(first, second)
        if first is not None and second is not None:
            names = a.sides[0], b.sides[0]
            function = any(isinstance(n, Apply) for n in names)
            shared = variables(first) & variables(second)
            # y = x^2 and f(x) = x^2 are one function
            if function != all(isinstance(n, Apply) for n in names) and function and shared:
                return self._same(first, second)
        if len(a.sides) != 2 or len(b.sides) != 2:
            return first is not None and second is not None and self._same(first, second)
        if self._proportional(_difference(a), _difference(b), positive=False):
            return True
        return self._solves(a, b) or self._solves(b, a)

    def _solves(self, a: Relation, b: Relation) -> bool:
        """Whether a is b solved for a variable in which b is linear: y = 1/x and xy = 1."""
        name, value = a.sides
        if not isinstance(name, Symbol) or name.name in variables(value) or len(b.sides) != 2:
            return False
        rest = _difference(b)
        at = [substitute(rest, name.name, Number(Fraction(n))) for n in range(3)]
        bend = Apply("-", (Apply("+", (at[0], at[2])), Apply("*", (Number(Fraction(2)), at[1]))))
        return (
            name.name in variables(rest)
            and bool(variables(value))
            and self._vanishes(bend)
            and not self._same(at[0], at[1])
            and self._vanishes(substitute(rest, name.name, value))
        )

    def _vanishes(self, node: Node) -> bool:
        names = sorted(variables(node))
        with mp.workdps(DIGITS):
            seen = 0
            for values in _assignments(names):
                try:
                    value = evaluate(node, values, self.budget)
                except Undefined:
                    continue
                if not isinstance(value, (mp.mpf, mp.mpc)) or abs(value) > mp.mpf(10) ** -35:
                    return False
                seen += 1
        return seen > _NEEDED

    def _inequalities(self, a: Relation, b: Relation) -> bool:
        if len(a.sides) != 2 or len(b.sides) != 2:
            return False
        signs = []
        sides = []
        for relation in (a, b):
            turned = relation.signs[0] in (">", ">=")
            signs.append(_FLIP[relation.signs[0]] if turned else relation.signs[0])
            difference = _difference(relation)
            sides.append(Apply("neg", (difference,)) if turned else difference)
        return signs[0] == signs[1] and self._proportional(*sides, positive=True)

    def _proportional(self, a: Node, b: Node, *, positive: bool) -> bool:
        """Whether a is a constant multiple of b."""
        names = sorted(variables(a) | variables(b))
        if not names:
            return False
        ratio: Value | None = None
        valid = 0
        with mp.workdps(DIGITS):
            for values in _assignments(names):
                try:
                    x, y = (evaluate(n, values, self.budget) for n in (a, b))
                    if not mp.isfinite(x) or not mp.isfinite(y) or not y:
                        continue
                except Undefined:
                    continue
                except Unreadable:
                    return False
                here = x / y
                if ratio is None:
                    ratio = here
                elif not _near(here, ratio, mp.mpf(10) ** (10 - DIGITS)):
                    return False
                valid += 1
        if ratio is None or valid <= _NEEDED or not ratio:
            return False
        return not positive or (isinstance(ratio, mp.mpf) and ratio > 0)

    # collections

    def _several(self, a: Node, b: Node) -> bool:
        self.rule = "members in any order"
        if isinstance(a, Several) and isinstance(b, Several):
            return self._members(a.items, b.items)
        many, other = (a, b) if isinstance(a, Several) else (b, a)
        assert isinstance(many, Several)
        if isinstance(other, Row):
            return self._listed_row(many, other)
        return len(many.items) == 1 and self._same(many.items[0], other)

    def _listed_row(self, many: Several, row: Row) -> bool:
        """Compare a list with a tuple: `x = 5, y = 2` and `5, 2` are (5, 2).

        A set in braces is a pair only where the pair, read as an ordered set, is increasing.
        """
        items = many.items
        if len(items) != len(row.items):
            return False
        labels = [_label(item) for item in items]
        if all(label is not None for label in labels) and len(set(labels)) == len(labels):
            values = [_labelled(item) for item in items if isinstance(item, Relation)]
            return all(
                v is not None and self._same(v, x) for v, x in zip(values, row.items, strict=True)
            )
        if many.braces:
            pair = len(items) == 2 and (row.opening, row.closing) == ("(", ")")
            if not pair or not self._increasing(row.items):
                return row.opening == "[" and len(items) > 2 and self._members(items, row.items)
            return self._members(items, row.items)
        return all(self._same(x, y) for x, y in zip(items, row.items, strict=True))

    def _increasing(self, items: Sequence[Node]) -> bool:
        values = [self._number(item) for item in items]
        return all(x is not None and y is not None and x < y for x, y in itertools.pairwise(values))

    def _members(self, a: Sequence[Node], b: Sequence[Node]) -> bool:
        """Whether two collections pair up; what stands twice counts once."""
        a, b = list(dict.fromkeys(a)), list(dict.fromkeys(b))
        if len(a) != len(b):
            return False
        left = list(b)
        for item in a:
            for place, candidate in enumerate(left):
                if self._same(item, candidate):
                    del left[place]
                    break
            else:
                return False
        return True

    def _rows(self, a: Node, b: Node) -> bool:
        self.rule = "items in order"
        if isinstance(a, Row) and isinstance(b, Row):
            if len(a.items) != len(b.items):
                return False
            brackets = (a.opening, a.closing) == (b.opening, b.closing)
            if not brackets and len(a.items) == 2:
                return False
            return all(self._same(x, y) for x, y in zip(a.items, b.items, strict=True))
        row, other = (a, b) if isinstance(a, Row) else (b, a)
        assert isinstance(row, Row)
        if isinstance(other, Matrix):
            entries = other.children()
            if all(isinstance(item, Row) for item in row.items):
                return len(row.items) == len(other.rows) and all(
                    self._same(x, Row(entry, "[", "]"))
                    for x, entry in zip(row.items, other.rows, strict=True)
                )
            line = len(other.rows) == 1 or len(other.rows[0]) == 1
            return (
                line
                and len(entries) == len(row.items)
                and all(self._same(x, y) for x, y in zip(row.items, entries, strict=True))
            )
        names = variables(other)
        if names and all(name.startswith("unit:") for name in names) and len(row.items) in (2, 3):
            letters = ["unit:i", "unit:j", "unit:k"][: len(row.items)]
            return names <= set(letters) and all(
                self._same(x, _coefficient(other, letter, names))
                for x, letter in zip(row.items, letters, strict=True)
            )
        return row.opening == "[" and len(row.items) == 1 and self._same(row.items[0], other)

    def _matrices(self, a: Matrix, b: Matrix) -> bool:
        if [len(row) for row in a.rows] != [len(row) for row in b.rows]:
            return False
        return all(self._same(x, y) for x, y in zip(a.children(), b.children(), strict=True))

    # values

    def _quantities(self, a: Node, b: Node) -> bool:
        self.rule = "unit"
        if isinstance(a, Quantity) and isinstance(b, Quantity):
            factor = units.compatible(a.unit, b.unit)
            if factor is None:
                return self._angles(a, b)
            return self._values(_times(a.value, factor), b.value)
        quantity, bare = (a, b) if isinstance(a, Quantity) else (b, a)
        assert isinstance(quantity, Quantity)
        lettered = _letters_as_units(bare)
        if lettered is not None and units.measure(quantity.unit):
            return self._quantities(quantity, lettered)
        if self._values(quantity.value, bare):
            return True
        if quantity.unit == (("%", 1),):
            self.rule = "percent"
            return self._values(_times(quantity.value, Fraction(1, 100)), bare)
        if units.is_angle(quantity.unit, "degree"):
            return self._values(Apply("degree", (quantity.value,)), bare)
        return False

    def _angles(self, a: Quantity, b: Quantity) -> bool:
        for degrees, radians in ((a, b), (b, a)):
            if units.is_angle(degrees.unit, "degree") and units.is_angle(radians.unit, "radian"):
                return self._values(Apply("degree", (degrees.value,)), radians.value)
        return False

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
        if not (_is_expression(a) and _is_expression(b)):
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
                _near(one, two, limit) and abs(two) > mp.mpf(10) ** (10 - 2 * DIGITS)
                for one, two in zip(*looks, strict=True)
            ]
            if any(solid):
                return _near(looks[1][0], looks[1][1], limit)
            return bool(gap < mp.mpf(10) ** (20 - 2 * DIGITS))

    def _same_matrices(self, a: Value, b: Value) -> bool:
        if not all(isinstance(m, mp.matrix) for m in (a, b)) or (a.rows, a.cols) != (
            b.rows,
            b.cols,
        ):
            return False
        return all(_near(x, y, mp.mpf(10) ** -20) for x, y in zip(a, b, strict=True))

    def _functions(self, a: Node, b: Node, names: list[str]) -> bool:
        """Compare expressions with variables at fixed points."""
        if {_last_term(a), _last_term(b)} == {Symbol("C"), Symbol("c")}:  # of integration
            a, b = (substitute(n, "c", Symbol("C")) for n in (a, b))
            names = sorted(variables(a) | variables(b))
        if not (_is_expression(a) and _is_expression(b)):
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
            for place, values in enumerate(_assignments(names)):
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
                if not _near(x, y, limit):
                    differ = True
                    break
        if differ:
            return self._whole_numbers(a, b, names)
        if valid < _NEEDED:
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
                if not _near(x, y, mp.mpf(10) ** (15 - DIGITS)):
                    return False
        return True

    def _number(self, node: Node) -> Value | None:
        """Return the real value of a constant, or None."""
        if isinstance(node, Quantity):
            node = node.value
        if variables(node) or not _is_expression(node):
            return None
        with mp.workdps(DIGITS):
            try:
                value = evaluate(node, {}, self.budget)
            except (Undefined, Unreadable):
                return None
        return value if isinstance(value, mp.mpf) else None


# tidying


def tidy(node: Node) -> Node:
    """Bring what is written in several ways into one form."""
    if isinstance(node, Quantity) and isinstance(node.value, Several):
        node = Several(
            tuple(Quantity(item, node.unit) for item in node.value.items), node.value.braces
        )
    both = _both_signs(node)
    if both is not None:
        return tidy(both)
    if isinstance(node, Several):
        items: list[Node] = []
        for item in node.items:
            if len(node.items) > 1 and _is_any_whole(item):
                continue  # `..., k an integer` only says what the letter is
            item = tidy(item)
            # the signs of a plus-minus are members of the list that they stand in
            flat = isinstance(item, Several) and not item.braces and not _has_groups(node)
            items.extend(item.items if flat and isinstance(item, Several) else [item])
        if len(items) == 1:
            return items[0]
        tidied = _unlabel(Several(tuple(items), node.braces, node.word))
        return _conditions(tidied) if isinstance(tidied, Several) else tidied
    if isinstance(node, Row):
        return Row(tuple(tidy(item) for item in node.items), node.opening, node.closing)
    if isinstance(node, Relation):
        if node.signs == ("in",):
            return tidy(node.sides[1])
        if node.signs == ("=",):
            left, right = node.sides[0], tidy(node.sides[1])
            if isinstance(right, (Several, Row, SetOperation)) and _is_label(left):
                if isinstance(right, Several) and not right.braces:
                    return (
                        Several(tuple(Relation((left, r), ("=",)) for r in right.items))
                        if any(isinstance(r, Relation) for r in right.items)
                        else right
                    )
                return right
            return Relation((left, right), ("=",))
    return node


def _is_any_whole(node: Node) -> bool:
    whole = {Symbol("set:integers"), Symbol("set:naturals")}
    return isinstance(node, Relation) and node.signs == ("in",) and node.sides[1] in whole


def _conditions(node: Several) -> Node:
    """Join inequalities in one variable into one set."""
    relations = [item for item in node.items if isinstance(item, Relation)]
    if len(relations) != len(node.items) or node.braces or not relations:
        return node
    names = {name for item in relations for name in variables(item)}
    if len(names) != 1 or any(sign in ("=", "in") for item in relations for sign in item.signs):
        return node
    joined: Node = relations[0]
    for item in relations[1:]:
        joined = SetOperation("union" if node.word == "or" else "conditions", joined, item)
    return joined


def _has_groups(node: Several) -> bool:
    return any(isinstance(i, Several) and not i.braces for i in node.items) and all(
        isinstance(i, Several) for i in node.items
    )


def _unlabel(node: Several) -> Node:
    """Drop the label of `n = 2, 3, 4` and of `x = 1 or x = 2`; `x = 5, y = 2` keeps its two."""
    if _has_groups(node):
        rows = []
        for group in node.items:
            assert isinstance(group, Several)
            labels = [_label(item) for item in group.items]
            if None in labels or len(set(labels)) != len(labels):
                return node
            values = [_labelled(item) for item in group.items if isinstance(item, Relation)]
            rows.append(Row(tuple(v for v in values if v is not None), "(", ")"))
        return Several(tuple(rows), node.braces)
    seen = {_label(item) for item in node.items}
    named = seen - {None}
    if len(named) != 1 or (None in seen and _label(node.items[0]) is None):
        return node
    return Several(
        tuple(
            (_labelled(item) or item) if isinstance(item, Relation) else item for item in node.items
        ),
        node.braces,
    )


def _both_signs(node: Node) -> Node | None:
    """Write out a plus-minus as the two values that it stands for."""
    if isinstance(node, Several) or not any(
        isinstance(n, Apply) and n.name in ("pm", "mp") for n in walk(node)
    ):
        return None
    return Several((_with_sign(node, "+"), _with_sign(node, "-")))


def _with_sign(node: Node, sign: str) -> Node:
    if isinstance(node, Apply):
        arguments = tuple(_with_sign(a, sign) for a in node.arguments)
        if node.name in ("pm", "mp"):
            plus = (sign == "+") == (node.name == "pm")
            return Apply("+" if plus else "-", arguments)
        return Apply(node.name, arguments)
    if isinstance(node, Relation):
        return Relation(tuple(_with_sign(s, sign) for s in node.sides), node.signs)
    if isinstance(node, Quantity):
        return Quantity(_with_sign(node.value, sign), node.unit)
    if isinstance(node, Row):
        items = tuple(_with_sign(item, sign) for item in node.items)
        return Row(items, node.opening, node.closing)
    if isinstance(node, Several):
        raise TooLarge("a plus-minus inside a set")
    return node


def _is_label(node: Node) -> bool:
    """Whether this can be the name of a quantity: `x`, `a_3`, `f(x)`, `AB`, `|AB|`."""
    if isinstance(node, Symbol):
        return node.name not in ("infinity", "pi", "i", "e")
    if isinstance(node, Apply):
        if node.name.startswith("unknown:"):
            return True
        if node.name == "abs":
            return _is_label(node.arguments[0])
        if node.name == "*":  # AB is the name of a length, xy is a product
            return all(
                (_is_label(a) and str(getattr(a, "name", "A"))[:1].isupper())
                or (isinstance(a, Apply) and _is_label(a))
                for a in node.arguments
            )
    if isinstance(node, Row):
        return all(isinstance(i, Symbol) for i in node.items)
    return False


def _renamed(a: Node, b: Node) -> list[tuple[str, str]]:
    """Return which arguments of f(x) are called what in f(t); empty where that can't be said."""
    if not (isinstance(a, Apply) and isinstance(b, Apply)) or a.name != b.name:
        return []
    if not a.name.startswith("unknown:") or len(a.arguments) != len(b.arguments):
        return []
    pairs = list(zip(a.arguments, b.arguments, strict=True))
    if not all(isinstance(x, Symbol) and isinstance(y, Symbol) for x, y in pairs):
        return []
    return [(x.name, y.name) for x, y in pairs if isinstance(x, Symbol) and isinstance(y, Symbol)]


def _coefficient(node: Node, letter: str, names: Iterable[str]) -> Node:
    """Return the part of a unit vector in a sum of them."""
    for name in names:
        node = substitute(node, name, Number(Fraction(int(name == letter))))
    return node


def _is_asked_for(node: Node) -> bool:
    """Whether a value is stated for this, as in tan(x) = 3/4 and a/b = 3/4."""
    named = isinstance(node, Apply) and node.name in {"/", "sin", "cos", "tan", "cot"}
    return named and bool(variables(node)) and not any(isinstance(n, Number) for n in walk(node))


def _label(node: Node) -> Node | None:
    """Return the name in `name = value`, or None."""
    if isinstance(node, Relation) and set(node.signs) == {"="} and _is_label(node.sides[0]):
        return node.sides[0]
    return None


def _labelled(relation: Relation) -> Node | None:
    """Return the value in `name = value` or `value = name`, the last of a chain; else None."""
    if _is_label(relation.sides[0]):
        return relation.sides[-1]
    if len(relation.sides) == 2 and _is_label(relation.sides[1]):
        return None if variables(relation.sides[0]) else relation.sides[0]
    return None


# small helpers


def _is_region(node: Node) -> bool:
    return isinstance(node, SetOperation) or node == Symbol("set:reals")


def _is_expression(node: Node) -> bool:
    return not isinstance(node, (Row, Several, Relation, SetOperation))


def _difference(relation: Relation) -> Node:
    return Apply("-", (relation.sides[0], relation.sides[1]))


def _letters_as_units(node: Node) -> Quantity | None:
    """Read `5 m^2`, a number times letters that all name units, as a measured value."""
    powers: dict[str, int] = {}

    def take(part: Node, sign: int) -> list[Node]:
        """Sort a factor into powers or the numbers that are returned."""
        if isinstance(part, Apply) and part.name in ("*", "/"):
            left, right = part.arguments
            return take(left, sign) + take(right, -sign if part.name == "/" else sign)
        base, power = part, 1
        if isinstance(part, Apply) and part.name == "^":
            base, exponent = part.arguments
            if not isinstance(exponent, Number) or exponent.value.denominator != 1:
                return [part]
            power = int(exponent.value)
        if isinstance(base, Symbol) and units.known(base.name) and abs(power) < 10:
            powers[base.name] = powers.get(base.name, 0) + sign * power
            return []
        return [part]

    numbers = take(node, 1)
    if not powers or len(numbers) != 1 or variables(numbers[0]):
        return None
    return Quantity(numbers[0], tuple(sorted((n, p) for n, p in powers.items() if p)))


def _with_common_logarithms(node: Node) -> Node:
    """Read a log without a base as one to the base 10."""
    if isinstance(node, Apply):
        name = "log10" if node.name == "log" and len(node.arguments) == 1 else node.name
        return Apply(name, tuple(map(_with_common_logarithms, node.arguments)))
    if isinstance(node, Relation):
        return Relation(tuple(map(_with_common_logarithms, node.sides)), node.signs)
    return node


def _last_term(node: Node) -> Node | None:
    return node.arguments[-1] if isinstance(node, Apply) and node.name == "+" else None


def _times(node: Node, factor: Fraction) -> Node:
    return node if factor == 1 else Apply("*", (node, Number(factor)))


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


OTHERWISE = Symbol("otherwise")
_ONE = Number(Fraction(1))
_MINUS_ONE = Number(Fraction(-1))


def _near(a: Value, b: Value, limit: Value) -> bool:
    gap = abs(a - b)
    return bool(gap == 0 or gap <= limit * max(abs(a), abs(b)))


def _assignments(names: Sequence[str]) -> Iterable[dict[str, Value]]:
    """Yield values for the variables, in the working precision."""
    for start, step in _POINTS:
        yield {
            name: mp.mpf((start + step * i).numerator) / (start + step * i).denominator
            for i, name in enumerate(names)
        }


__all__ = ["Comparison", "Interval", "RealSet", "tidy"]
