r"""Whether two answers are the same.

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
- The letter of a family of solutions (`2k\\pi`) and a constant of integration may have any name.
- A unit may be missing on one side; two units must convert into each other. A percentage is its
  figure or a hundredth of it.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction

from mpmath import mp

from . import symbolic, units
from .nodes import (
    Apply,
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
)
from .normalize import (
    called_as_product,
    integration_constant,
    is_label,
    label,
    labelled,
    labels_within,
    normalize,
    renamings,
)
from .relations import Relations
from .values import Values, as_decimal, is_expression


class Members(Values):
    """The rules for what has members, in an order or in none."""

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
        labels = [label(item) for item in items]
        if all(label is not None for label in labels) and len(set(labels)) == len(labels):
            values = [labelled(item) for item in items if isinstance(item, Relation)]
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


def _coefficient(node: Node, letter: str, names: Iterable[str]) -> Node:
    """Return the part of a unit vector in a sum of them."""
    for name in names:
        node = substitute(node, name, Number(Fraction(int(name == letter))))
    return node


class Quantities(Values):
    """The rules for values with a unit."""

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


def _times(node: Node, factor: Fraction) -> Node:
    return node if factor == 1 else Apply("*", (node, Number(factor)))


def _letters_as_units(node: Node) -> Quantity | None:
    """Read `5 m^2`, a number times letters that all name units, as a measured value."""
    powers: dict[str, int] = {}

    def take(part: Node, sign: int) -> list[Node]:
        """Sort a factor into powers or the numbers that are returned."""
        if isinstance(part, Apply) and part.name in ("*", "/"):
            left, right = part.arguments
            if part.name == "/" and not variables(part):
                return [part]
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
    if not powers or not numbers or any(map(variables, numbers)):
        return None
    number = functools.reduce(lambda a, b: Apply("*", (a, b)), numbers)
    return Quantity(number, tuple(sorted((n, p) for n, p in powers.items() if p)))


OTHERWISE = Symbol("otherwise")


class AnswerComparison(Relations, Members, Quantities):
    """One comparison: its budget and the rule that decided.

    Args:
        budget: of steps.
    """

    def same(self, a: Node, b: Node) -> bool:
        """Whether two answers are the same; symmetric in them.

        Raises:
            TooLarge: that takes more work or larger numbers than the limits allow.
        """
        a, b = read = self._settled(a), self._settled(b)
        names = [labels_within(node) for node in (a, b)]
        if names[0] and names[1] and names[0] != names[1]:
            self.rule = "names"
            return False
        a, b = normalize(a), normalize(b)
        used = [variables(node) for node in (a, b)]
        products = [called_as_product(a, used[1]), called_as_product(b, used[0])]
        if products != [a, b] and self._tried(*map(normalize, products)):
            self.rule += ", brackets behind a letter read as a product"
            return True
        if self._tried(a, b):
            return True
        rule, undecided = self.rule, self.undecided
        for renamed in renamings(*read):
            if self._tried(a, normalize(renamed)):
                self.rule = "the letter's name does not matter"
                return True
        letters = [integration_constant(node) for node in (a, b)]
        if letters[0] and letters[1] and self._up_to_constant(a, b, *letters):
            self.rule = "up to a constant"
            return True
        common = [_with_common_logarithms(n) for n in (a, b)]
        if common != [a, b] and (self._tried(common[0], b) or self._tried(a, common[1])):
            self.rule = "log to the base 10"
            return True
        self.rule, self.undecided = rule, undecided or self.undecided
        return False

    def holds_together(self, answer: Node, gold: Node) -> bool:
        """Whether a chain such as `x = 2 + 3 = 5` states one value and not several."""
        if not isinstance(answer, Relation) or answer == gold or len(answer.sides) < 3:
            return True
        if self._is_consistent(answer):
            return True
        # a gold answer that is such a chain itself is taken as it is
        return isinstance(gold, Relation) and len(gold.sides) >= 3 and not self._is_consistent(gold)

    def _is_consistent(self, chain: Relation) -> bool:
        last = chain.sides[-1]
        return not set(chain.signs) <= {"=", "~"} or all(
            is_label(side) or self._rounds_to(side, last) or self._tried(side, last)
            for side in chain.sides[1:-1]
        )

    def _settled(self, node: Node) -> Node:
        r"""Drop a rounded value behind `\\approx`; read any other `\\approx` as `=`."""
        if isinstance(node, (Several, Row)):
            return replace(node, items=tuple(map(self._settled, node.items)))
        if not isinstance(node, Relation) or "~" not in node.signs:
            return node
        at = node.signs.index("~")
        value, *rounded = node.sides[at:]
        if set(node.signs) <= {"=", "~"} and all(self._rounds_to(value, r) for r in rounded):
            return Relation(node.sides[: at + 1], node.signs[:at]) if at else value
        if node.signs == ("~",) and self._rounds_to(rounded[0], value):
            return rounded[0]
        return Relation(node.sides, tuple("=" if sign == "~" else sign for sign in node.signs))

    def _rounds_to(self, value: Node, rounded: Node) -> bool:
        if is_label(value) and not is_expression(value):
            return False
        value, rounded = (n.value if isinstance(n, Quantity) else n for n in (value, rounded))
        decimal = as_decimal(rounded)
        last: Fraction | None = decimal.last if decimal else None
        if isinstance(rounded, Number) and last is None and rounded.value.denominator == 1:
            last = Fraction(51, 100)
        exactly, roughly = self._number(value), self._number(rounded)
        if exactly is None or roughly is None or last is None:
            return False
        return bool(abs(exactly - roughly) < mp.mpf(last.numerator) / last.denominator)

    def _tried(self, a: Node, b: Node) -> bool:
        self.agreed = 0
        return self._same(a, b)

    def _up_to_constant(self, a: Node, b: Node, ours: str, theirs: str) -> bool:
        """Whether two antiderivatives, each with its constant, differ by a number."""
        if isinstance(a, Relation) and isinstance(b, Relation) and a.sides[:-1] != b.sides[:-1]:
            return False
        sides = [labelled(n) or n if isinstance(n, Relation) else n for n in (a, b)]
        zero = Number(Fraction(0))
        bare = [substitute(n, c, zero) for n, c in zip(sides, (ours, theirs), strict=True)]
        if not all(map(is_expression, bare)):
            return False
        difference = Apply("-", (bare[0], bare[1]))
        names = sorted(variables(difference))
        if not names:
            return False
        fixed: Node = difference
        for name in names:
            fixed = substitute(
                fixed, name, Number(Fraction(self.points.random.getrandbits(30) + 1, 1 << 30))
            )
        self.agreed = 0
        return self._values(difference, fixed)

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
            return bool(self._same_region(a, b))
        if isinstance(a, Several) or isinstance(b, Several):
            return self._several(a, b)
        if isinstance(a, Row) or isinstance(b, Row):
            return self._rows(a, b)
        if isinstance(a, Quantity) or isinstance(b, Quantity):
            return self._quantities(a, b)
        for column, other in ((a, b), (b, a)):
            if isinstance(column, Matrix) and any(n[:5] == "unit:" for n in variables(other)):
                return self._rows(Row(column.children(), "(", ")"), other)
        worked_out = [self._calculated(n) if symbolic.is_matrix_work(n) else n for n in (a, b)]
        if worked_out != [a, b]:
            return self._same(*worked_out)
        if isinstance(a, Matrix) and isinstance(b, Matrix):
            self.rule = "matrix"
            return self._matrices(a, b)
        return self._values(a, b)


def _is_region(node: Node) -> bool:
    return isinstance(node, SetOperation) or node == Symbol("set:reals")


def _with_common_logarithms(node: Node) -> Node:
    """Read a log without a base as one to the base 10."""
    if isinstance(node, Apply):
        name = "log10" if node.name == "log" and len(node.arguments) == 1 else node.name
        return Apply(name, tuple(map(_with_common_logarithms, node.arguments)))
    if isinstance(node, Relation):
        return Relation(tuple(map(_with_common_logarithms, node.sides)), node.signs)
    return node
