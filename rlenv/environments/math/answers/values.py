"""Whether two values are the same: numbers, constants, functions of variables.

The order is: exact numbers; rounded decimals; identity of rational functions, which proves or
refutes; and values at points that are drawn anew each time from the system's entropy, at which a
difference refutes and agreement is said to be no more than that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from mpmath import mp

from . import symbolic
from .exact import exact
from .limits import Budget, TooLarge, Undefined, Unreadable
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
    has_calculus,
    literal_digits,
    variables,
    walk,
)
from .numeric import Evaluator, Value
from .points import Point, PointSource, has_corners
from .rational import identical

DIGITS = 40  # of the first look at a point, beyond those of the literals; each look doubles them
LOOKS = 4
MOST_DIGITS = 4_000  # of the literals of one comparison
POINTS = 12  # at which functions must agree
CORNERED_POINTS = 24  # where a part of them has corners or steps, which hide between points
MOST_CORNERS = 200  # points at corners
WHOLE_POINTS = 20  # whole numbers at which expressions that count something must agree
NEEDED = 4  # points that will do where no more have a value
POINT_BUDGET = 20_000  # steps at one point
_FEW = 6  # digits from which a decimal may stand for a value that it rounds
_MANY = 10  # digits from which two decimals may differ in the last one
_WHOLE_LETTERS = frozenset("nkmj")
_COMPLEX = frozenset({"Re", "Im", "arg", "conjugate", "cis"})
_COUNTING = frozenset({"factorial", "double_factorial", "binom", "floor", "ceil", "gcd", "lcm"})
_PERIODIC = frozenset({"sin", "cos", "tan"})


class Decimal(NamedTuple):
    """A literal with a decimal point, perhaps times a power of ten or a unit's factor.

    Attributes:
        value: exact.
        digits: significant ones.
        last: what one unit of the last digit is worth.
    """

    value: Fraction
    digits: int
    last: Fraction


class Tolerance(NamedTuple):
    """How far a number may lie from the gold answer's; by default not at all.

    A number is near enough if any of these that is not zero says so.

    Attributes:
        absolute: the largest difference.
        relative: the largest difference as a share of the smaller number.
        digits: significant digits that must agree, after rounding.
    """

    absolute: float = 0.0
    relative: float = 0.0
    digits: int = 0


class Values:
    """The rules for single values; those for all else are built on it.

    Args:
        budget: of steps.
        tolerance: of numbers.

    Attributes:
        rule: that decided.
        agreed: the fewest points at which something only agreed, 1 for constants that agreed to
            many digits; 0 where all was proved.
        undecided: whether something could be neither shown nor refuted.
    """

    def __init__(
        self,
        budget: Budget | None = None,
        tolerance: Tolerance = Tolerance(),  # noqa: B008 frozen
    ) -> None:
        self.budget = budget or Budget()
        self.tolerance = tolerance
        self.rule = "value"
        self.agreed = 0
        self.undecided = False
        self.points = PointSource(self.budget)
        self.salt = tuple(self.points.random.uniform(0.5, 2) for _ in range(4))

    def _same(self, a: Node, b: Node) -> bool:
        """Whether two normalized answers of any kind are the same."""
        raise NotImplementedError

    def _values(self, a: Node, b: Node) -> bool:
        """Whether two expressions have the same value."""
        if any(isinstance(n, Quantity) for n in (a, b)):
            return self._same(a, b)
        if a == b:
            return True
        if not (is_expression(a) and is_expression(b)):
            return False
        if any(n == Symbol("ldots") for x in (a, b) for n in walk(x)):
            return False
        a, b = self._calculated(a), self._calculated(b)
        if any(self.tolerance) and self._is_near(a, b):
            self.rule = "within the tolerance"
            return True
        self.rule = "value"
        try:
            first, second = exact(a, self.budget), exact(b, self.budget)
            if first is not None and second is not None:
                return first == second or self._rounds(a, b, first, second)
            same = identical(a, b, self.budget)
        except Undefined:  # 1/0 is nothing, so it equals nothing
            return False
        if same:
            return True
        names = sorted(variables(a) | variables(b))
        if not names:
            return same is None and self._constants(a, b)
        self.rule = "function"
        if same is None and self._functions(a, b, names):
            return True
        return self._rounded_functions(a, b)

    def _calculated(self, node: Node) -> Node:
        """Return an expression with its derivatives, integrals, sums and limits worked out."""
        needed = has_calculus(node) or symbolic.is_matrix_work(node)
        return symbolic.calculated(node) if needed else node

    # Rounded decimals

    def _rounds(self, a: Node, b: Node, x: Fraction, y: Fraction) -> bool:
        """Whether one is a decimal that the other rounds to."""
        for node, other in ((a, y), (b, x)):
            decimal = as_decimal(node)
            needed = _MANY if _ends(other) else _FEW
            if decimal and decimal.digits >= needed and abs(x - y) < decimal.last:
                self.rule = "rounded decimal"
                return True
        return False

    def _rounded_functions(self, a: Node, b: Node) -> bool:
        """Compare functions that are built alike but for rounded decimals in them."""
        if not any(n.digits and n.digits >= _FEW for x in (a, b) for n in _numbers(x)):
            return False
        aligned = self._aligned(a, b)
        if aligned == b or not self._values(a, aligned):
            return False
        self.rule = "rounded decimals"
        return True

    def _aligned(self, a: Node, b: Node) -> Node:
        """Return b with a's constants where those stand in the same places and round to b's."""
        if not variables(a) and not variables(b):
            return a if a != b and any(map(as_decimal, (a, b))) and self._values(a, b) else b
        if not (isinstance(a, Apply) and isinstance(b, Apply)):
            return b
        if a.name != b.name or len(a.arguments) != len(b.arguments):
            return b
        return Apply(b.name, tuple(map(self._aligned, a.arguments, b.arguments)))

    def _is_near(self, a: Node, b: Node) -> bool:
        """Whether two constants lie within the caller's tolerance."""
        x, y = self._number(a), self._number(b)
        if x is None or y is None or not mp.isfinite(x) or not mp.isfinite(y):
            return False
        absolute, relative, digits = self.tolerance
        smaller = min(abs(x), abs(y))
        allowed = max(mp.mpf(absolute), relative * smaller)
        if digits and smaller:
            place = int(mp.floor(mp.log10(smaller))) + 1 - digits
            allowed = max(allowed, mp.mpf(10) ** place / 2)
        return bool(abs(x - y) <= allowed * (1 + mp.mpf(10) ** -DIGITS))

    # Constants

    def _constants(self, a: Node, b: Node) -> bool:
        """Compare constants of which at least one is irrational."""
        for node, other in ((a, b), (b, a)):
            decimal = as_decimal(node)
            if decimal is None:
                continue
            value = self._number(other)
            if value is None:
                return False
            if decimal.digits >= _FEW:
                with mp.workdps(2 * DIGITS):
                    exactly = mp.mpf(decimal.value.numerator) / decimal.value.denominator
                    last = mp.mpf(decimal.last.numerator) / decimal.last.denominator
                    self.rule = "rounded decimal"
                    return bool(abs(exactly - value) < last)
        try:
            same = self._agree(a, b, {}, real=False)
        except TooLarge:
            if not (has_calculus(a) or has_calculus(b)):
                raise
            same = None  # an integral or a limit that neither sympy nor a quadrature can find
        if same is None:
            self.undecided = True
        elif same:
            self._note(1)
        return bool(same)

    def _number(self, node: Node) -> Value | None:
        """Return the real value of a constant, or None."""
        if isinstance(node, Quantity):
            node = node.value
        if variables(node) or not is_expression(node):
            return None
        with mp.workdps(max(mp.dps, 2 * DIGITS)):
            try:
                node = self._calculated(node)
                look = Evaluator({}, self.budget)
                value = look.value(node)
            except (Undefined, Unreadable):
                return None
            if look.infinite and not _is_infinity(node):
                return None
        return value if isinstance(value, mp.mpf) else None

    # Functions

    def _functions(self, a: Node, b: Node, names: Sequence[str]) -> bool:
        """Compare expressions with variables at points."""
        counting = any(map(_counts, (a, b)))
        # cos(pi n) is (-1)^n, but n + sin(2 pi n) is not taken for n
        both = all(_counts(node) or _is_periodic(node) for node in (a, b))
        whole = set(names) <= _WHOLE_LETTERS and counting and (both or _has_steps(a, b))
        needed = CORNERED_POINTS if any(map(has_corners, (a, b))) else POINTS
        for real in (False,) if any(map(_is_complex, (a, b))) else (True, False):
            seen = self._seen_at(a, b, self.points.real((a, b), names), needed, real=real)
            if seen is None:
                return whole and self._whole_numbers(a, b, names)
            if seen >= NEEDED:
                corners = self.points.corners((a, b), names)
                if self._seen_at(a, b, corners, MOST_CORNERS, real=real) is None:
                    return False
                if counting and not self._whole_numbers(a, b, names, fewest=0):
                    return False
                self._note(seen)
                return True
        return self._whole_numbers(a, b, names)

    def _whole_numbers(
        self, a: Node, b: Node, names: Sequence[str], fewest: int = NEEDED + 2
    ) -> bool:
        """Compare at small and large whole numbers."""
        seen = self._seen_at(a, b, self.points.whole((a, b), names), WHOLE_POINTS, real=True)
        if seen is not None and seen < fewest:
            self.undecided = True
            return False
        if seen:
            self._note(seen)
        return seen is not None

    def _seen_at(
        self, a: Node, b: Node, points: Iterator[Point], needed: int, *, real: bool
    ) -> int | None:
        """Return at how many points two expressions agree; None where they differ at one."""
        seen = 0
        for point in points:
            same = self._agree(a, b, point, real=real)
            if same is False:
                return None
            seen += same is True
            if seen == needed:
                break
        return seen

    def _agree(self, a: Node, b: Node, point: Point, *, real: bool) -> bool | None:
        """Compare two expressions at a point, to more and more digits.

        A difference is one if two precisions show the same; there is none if it is lost in the
        rounding errors of two precisions. None: a side has no value, or neither can be said.
        """
        size = literal_digits(a) + literal_digits(b)
        if size > MOST_DIGITS:
            raise TooLarge("literals of thousands of digits")
        budget = Budget(min(POINT_BUDGET, max(0, self.budget.left)) if point else self.budget.left)
        before = budget.left
        digits, zeros, last = DIGITS + size, 0, None
        try:
            if point and all(value.denominator == 1 for value in point.values()):
                values = [exact(n, budget, point) for n in (a, b)]
                if values[0] is not None and values[1] is not None:
                    return values[0] == values[1]
            for _ in range(LOOKS):
                with mp.workdps(digits):
                    gap, scale, approximate, lossy = self._gap(a, b, point, budget, real=real)
                    if gap is None:
                        return None if point else False
                    if mp.isinf(scale):
                        return gap == 0 if not point else None
                    if approximate:
                        return None if size > 12 else bool(gap <= scale * mp.mpf(10) ** -12)
                    if gap <= scale * mp.mpf(10) ** (-6 * digits // 10):
                        zeros, last = zeros + 1, None
                        if zeros == 2:
                            return None if lossy and point else True
                    elif last is not None and abs(gap - last) <= gap / 10:
                        return False
                    else:
                        zeros, last = 0, gap
                digits *= 2
        except TooLarge:
            if not point or self.budget.left <= 0:
                raise
        except Unreadable:
            return False if not point else None
        except Undefined:
            return None if point or has_calculus(a) or has_calculus(b) else False
        finally:
            self.budget.left -= before - budget.left
        return None

    def _gap(
        self, a: Node, b: Node, point: Point, budget: Budget, *, real: bool
    ) -> tuple[Value | None, Value, bool, bool]:
        """Return how far apart two values are, what that is to be compared with, and how exact.

        Returns:
            The gap, None between matrices of different shapes; the largest number on the way;
            whether a part was only approximated; whether rounding took a part away.
        """
        values = {n: mp.mpf(v.numerator) / v.denominator for n, v in point.items()}
        looks = [Evaluator(values, budget, real=real, salt=self.salt) for _ in range(2)]
        x, y = (look.value(node) for look, node in zip(looks, (a, b), strict=True))
        approximate = any(look.approximate for look in looks)
        lossy = any(look.lossy for look in looks)
        largest = max(look.largest for look in looks)
        if isinstance(x, mp.matrix) or isinstance(y, mp.matrix):
            matrices = isinstance(x, mp.matrix) and isinstance(y, mp.matrix)
            if not matrices or (x.rows, x.cols) != (y.rows, y.cols):
                return None, largest, approximate, lossy
            largest = max([largest, *map(abs, x), *map(abs, y)])
            gap = max(abs(p - q) for p, q in zip(x, y, strict=True))
            return gap, largest, approximate, lossy
        if mp.isinf(x) or mp.isinf(y) or any(look.infinite for look in looks):
            bare = all(map(_is_infinity, (a, b)))
            return mp.mpf(0 if x == y and bare else 1), mp.inf, approximate, lossy
        return abs(x - y), max(largest, abs(x), abs(y)), approximate, lossy

    def _drawn(self, nodes: Sequence[Node], names: Sequence[str]) -> Mapping[str, Number]:
        """Return one point as literals."""
        return {name: Number(value) for name, value in next(self.points.real(nodes, names)).items()}

    def evidence(self, right: bool) -> str:
        """Return the rule that decided, and how sure that is."""
        if right:
            sure = f"agreed at {self.agreed} points" if self.agreed else "proved"
            if self.agreed == 1:
                sure = f"agreed to {2 * DIGITS} digits"
        else:
            sure = "not decided" if self.undecided else "refuted"
        return f"{self.rule}, {sure}"

    def _note(self, points: int) -> None:
        self.agreed = min(self.agreed, points) if self.agreed else points


def is_expression(node: Node) -> bool:
    """Whether it has one value: it is no collection, relation or set of numbers."""
    return not isinstance(node, (Row, Several, Relation, SetOperation))


def as_decimal(node: Node) -> Decimal | None:
    """Read a decimal literal, with its sign and its power of ten; None for anything else."""
    if isinstance(node, Number):
        if node.digits is None:
            return None
        return Decimal(node.value, node.digits, Fraction(1, 10**node.places))
    if isinstance(node, Apply) and node.name == "neg":
        inner = as_decimal(node.arguments[0])
        return inner and inner._replace(value=-inner.value)
    if isinstance(node, Apply) and node.name == "*":
        inner = as_decimal(node.arguments[0])
        factor = exact(node.arguments[1], Budget()) if inner else None
        if inner and factor:
            return Decimal(inner.value * factor, inner.digits, inner.last * abs(factor))
    return None


def _is_infinity(node: Node) -> bool:
    if isinstance(node, Apply) and node.name == "neg":
        node = node.arguments[0]
    return node == Symbol("infinity")


def _numbers(node: Node) -> Iterator[Number]:
    return (n for n in walk(node) if isinstance(n, Number))


def _ends(value: Fraction) -> bool:
    """Whether a value's decimal expansion ends."""
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1


def _is_complex(node: Node) -> bool:
    return any(
        n == Symbol("i") or isinstance(n, Matrix) or (isinstance(n, Apply) and n.name in _COMPLEX)
        for n in walk(node)
    )


_MINUS_ONES = (Number(Fraction(-1)), Apply("neg", (Number(Fraction(1)),)))


def _is_periodic(node: Node) -> bool:
    return any(isinstance(n, Apply) and n.name in _PERIODIC for n in walk(node))


def _has_steps(a: Node, b: Node) -> bool:
    """Whether two expressions are about whole numbers with no sine or cosine that could hide."""
    return not (_is_periodic(a) or _is_periodic(b))


def _counts(node: Node) -> bool:
    """Whether an expression may only make sense at whole numbers."""
    return any(
        (isinstance(n, Bound) and n.name in ("sum", "prod"))
        or (isinstance(n, Apply) and n.name in _COUNTING)
        or (isinstance(n, Apply) and n.name == "^" and n.arguments[0] in _MINUS_ONES)
        for n in walk(node)
    )
