"""Exact identity of rational functions, with everything else in them as opaque kernels.

An expression becomes a quotient of two polynomials with rational coefficients. What is no
polynomial (`sin x`, `2^n`, `\\pi`) is a kernel: a letter of its own, the same letter for the same
thing. A root is a kernel whose power is known, so `1/\\sqrt{2}` and `\\sqrt{2}/2` are one quotient.
Identity of the quotients proves equality wherever both have a value; without kernels, quotients
that differ prove the opposite.
"""

from __future__ import annotations

from collections.abc import Hashable
from fractions import Fraction
from typing import NamedTuple

from .exact import exact
from .limits import Budget, TooLarge, Undefined
from .nodes import Apply, Node, Number, Quantity, Symbol

Monomial = tuple[tuple[int, int], ...]  # pairs of a generator's number and its power, in order
Polynomial = dict[Monomial, Fraction]

MOST_MONOMIALS = 400  # of one polynomial
HIGHEST_POWER = 64  # to which a sum is multiplied out
LARGEST_COEFFICIENT = 4_000  # bits
LARGEST_PRIME = 2_000  # that is looked for below a root
_ONE: Polynomial = {(): Fraction(1)}


class Beyond(Exception):
    """The expression has no such form, or a larger one than is worth working out."""


class Quotient(NamedTuple):
    """A rational function, not reduced."""

    top: Polynomial
    bottom: Polynomial


class QuotientReader:
    """Reads expressions as quotients of polynomials over one shared set of generators.

    Args:
        budget: of steps.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.generators: dict[Hashable, int] = {}
        self.powers: dict[int, tuple[int, Polynomial]] = {}  # of roots: the order and the radicand
        self.kernels: set[int] = set()  # generators that are no variables
        self.nonzero: set[int] = set()  # kernels that are constants other than zero

    def quotient(self, node: Node) -> Quotient:
        """Read an expression.

        Raises:
            Beyond: it has no such form.
            Undefined: it divides by zero.
        """
        self.budget.spend()
        if isinstance(node, Number):
            return _constant(node.value)
        if isinstance(node, Symbol):
            return self._symbol(node.name)
        if isinstance(node, Quantity) and node.unit == (("%", 1),):
            return self.times(self.quotient(node.value), _constant(Fraction(1, 100)))
        if not isinstance(node, Apply):
            raise Beyond
        match node.name, node.arguments:
            case ("+" | "mixed", (a, b)):
                return self.plus(self.quotient(a), self.quotient(b))
            case ("-", (a, b)):
                return self.plus(self.quotient(a), _negative(self.quotient(b)))
            case ("*", (a, b)):
                return self.times(self.quotient(a), self.quotient(b))
            case ("/", (a, b)):
                return self.times(self.quotient(a), _inverse(self.quotient(b)))
            case ("neg", (a,)):
                return _negative(self.quotient(a))
            case ("^", (a, b)):
                return self._power(a, b)
            case ("sqrt", (a,)):
                return self._root(self.quotient(a), 2)
            case ("cbrt", (a,)):
                return self._root(self.quotient(a), 3)
            case ("root", (a, n)):
                order = exact(n, self.budget)
                if order is None or order.denominator != 1 or not 2 <= order <= 12:
                    raise Beyond
                return self._root(self.quotient(a), int(order))
            case ("exp", (a,)):
                return self._power(Symbol("e"), a)
        value = exact(node, self.budget)
        if value is not None:
            return _constant(value)
        key = (node.name, *(self.key(self.quotient(a)) for a in node.arguments))
        return self._kernel(key)

    def _symbol(self, name: str) -> Quotient:
        if name == "infinity" or name.startswith(("set:", "unit:")) or name == "ldots":
            raise Beyond
        if name == "i":
            return self._constant_kernel(self._known_power("i", 2, {(): Fraction(-1)}))
        if name in ("pi", "e"):
            return self._constant_kernel(self._kernel(name))
        return _generator(self._number(("variable", name)))

    def _number(self, key: Hashable) -> int:
        return self.generators.setdefault(key, len(self.generators))

    def _kernel(self, key: Hashable) -> Quotient:
        number = self._number(("kernel", key))
        self.kernels.add(number)
        return _generator(number)

    def _known_power(self, key: Hashable, order: int, radicand: Polynomial) -> Quotient:
        made = self._kernel(("root", order, key))
        (((number, _),),) = made.top
        self.powers[number] = order, radicand
        return made

    def _constant_kernel(self, made: Quotient) -> Quotient:
        self.nonzero |= {number for monomial in made.top for number, _ in monomial}
        return made

    def key(self, value: Quotient) -> Hashable:
        """Return what two quotients share only if they are written the same."""
        lead = value.bottom[max(value.bottom)]
        return tuple(frozenset((m, c / lead) for m, c in part.items()) for part in value)

    def may_hide_zero(self, bottom: Polynomial) -> bool:
        """Whether a denominator other than the zero polynomial may yet have the value zero."""
        used = {number for monomial in bottom for number, _ in monomial} & self.kernels
        return bool(used) and not (len(bottom) == 1 and used <= self.nonzero)

    def plus(self, a: Quotient, b: Quotient) -> Quotient:
        """Add."""
        if a.bottom == b.bottom:
            return Quotient(_sum(a.top, b.top), a.bottom)
        top = _sum(self.product(a.top, b.bottom), self.product(b.top, a.bottom))
        return Quotient(top, self.product(a.bottom, b.bottom))

    def times(self, a: Quotient, b: Quotient) -> Quotient:
        """Multiply."""
        return Quotient(self.product(a.top, b.top), self.product(a.bottom, b.bottom))

    def product(self, a: Polynomial, b: Polynomial) -> Polynomial:
        """Multiply polynomials, with the powers of roots worked out."""
        if len(a) * len(b) > 40 * MOST_MONOMIALS:
            raise Beyond
        self.budget.spend(len(a) * len(b))
        found: Polynomial = {}
        for one, factor in a.items():
            for other, coefficient in b.items():
                powers = dict(one)
                for number, power in other:
                    powers[number] = powers.get(number, 0) + power
                self._add_reduced(found, powers, factor * coefficient)
        found = {m: c for m, c in found.items() if c}
        if len(found) > MOST_MONOMIALS or any(
            c.numerator.bit_length() > LARGEST_COEFFICIENT for c in found.values()
        ):
            raise Beyond
        return found

    def _add_reduced(self, found: Polynomial, powers: dict[int, int], factor: Fraction) -> None:
        for number, power in powers.items():
            known = self.powers.get(number)
            if known and power >= known[0]:
                order, radicand = known
                rest = {**powers, number: power % order}
                monomial = _monomial(rest)
                expanded: Polynomial = {monomial: factor}
                for _ in range(power // order):
                    expanded = self.product(expanded, radicand)
                for m, c in expanded.items():
                    found[m] = found.get(m, Fraction(0)) + c
                return
        monomial = _monomial(powers)
        found[monomial] = found.get(monomial, Fraction(0)) + factor

    def _power(self, base: Node, exponent: Node) -> Quotient:
        power = exact(exponent, self.budget)
        if power is None:
            return self._symbolic_power(base, exponent)
        below = self.quotient(base)
        if power.denominator > 12:
            raise Beyond
        if power.denominator > 1:
            below = self._root(below, power.denominator)
        return self._whole_power(below, power.numerator)

    def _whole_power(self, below: Quotient, power: int) -> Quotient:
        if power < 0:
            below, power = _inverse(below), -power
        parts = []
        for part in below:
            if len(part) > 1 and power > HIGHEST_POWER:
                raise Beyond
            if len(part) == 1 and not any(n in self.powers for m in part for n, _ in m):
                ((monomial, factor),) = part.items()
                bits = max(factor.numerator.bit_length(), factor.denominator.bit_length())
                if abs(factor) != 1 and bits * power > LARGEST_COEFFICIENT:
                    raise Beyond
                if power > 10**9:
                    raise Beyond
                parts.append({tuple((n, p * power) for n, p in monomial if power): factor**power})
                continue
            if power > HIGHEST_POWER:
                raise Beyond
            result = _ONE
            for _ in range(power):
                result = self.product(result, part)
            parts.append(result)
        return Quotient(*parts)

    def _symbolic_power(self, base: Node, exponent: Node) -> Quotient:
        """Read `a^{n+2}` as `a^n` times `a^2`."""
        below, above = self.quotient(base), self.quotient(exponent)
        shift = above.top.get((), Fraction(0)) if above.bottom == _ONE else Fraction(0)
        whole = shift.numerator if shift.denominator == 1 else 0
        rest = self.plus(above, _constant(Fraction(-whole)))
        kernel = self._kernel(("^", self.key(below), self.key(rest)))
        return self.times(kernel, self._whole_power(below, whole)) if whole else kernel

    def _root(self, below: Quotient, order: int) -> Quotient:
        if not below.top:
            return below
        if set(below.top) == {()} and set(below.bottom) == {()}:
            return self._constant_root(below.top[()] / below.bottom[()], order)
        if below.bottom != _ONE:
            return self._kernel(("root", order, self.key(below)))
        size = abs(below.top[max(below.top)])
        radicand = {m: c / size for m, c in below.top.items()}
        made = self._known_power(self.key(Quotient(radicand, _ONE)), order, radicand)
        return self.times(made, self._constant_root(size, order))

    def _constant_root(self, value: Fraction, order: int) -> Quotient:
        found = _constant(Fraction(1))
        if value < 0:
            if order == 2:
                found = self._symbol("i")
            elif order % 2:
                found = _constant(Fraction(-1))
            else:
                raise Beyond
            value = -value
        below = value.numerator * value.denominator ** (order - 1)
        if below.bit_length() > LARGEST_COEFFICIENT:
            raise Beyond
        outside = Fraction(1, value.denominator)
        for prime, power in _factors(below):
            outside *= Fraction(prime) ** (power // order)
            for _ in range(power % order):
                radicand: Polynomial = {(): Fraction(prime)}
                root = self._constant_kernel(self._known_power(prime, order, radicand))
                found = self.times(found, root)
        return self.times(found, _constant(outside))


def identical(a: Node, b: Node, budget: Budget) -> bool | None:
    """Whether two expressions are one rational function.

    Returns:
        True or False where that is proved; None where this can't tell.

    Raises:
        Undefined: one divides by zero.
    """
    reader = QuotientReader(budget)
    try:
        first, second = reader.quotient(a), reader.quotient(b)
        if not first.bottom or not second.bottom:
            raise Undefined("a division by zero")
        if reader.key(first) == reader.key(second):
            same = True
        else:
            same = reader.product(first.top, second.bottom) == reader.product(
                second.top, first.bottom
            )
    except (Beyond, TooLarge):
        return None
    if same:
        # a kernel may hide a zero: where it stands below a fraction, nothing is proved
        hidden = any(map(reader.may_hide_zero, (first.bottom, second.bottom)))
        return None if hidden else True
    return None if reader.kernels else False


def proportional_tops(a: Node, b: Node, budget: Budget) -> bool | None:
    """Whether one expression's numerator is a constant multiple of the other's.

    Returns:
        None where the expressions are no rational functions.
    """
    reader = QuotientReader(budget)
    try:
        first, second = reader.quotient(a), reader.quotient(b)
    except (Beyond, TooLarge, Undefined):
        return None
    refuted = None if reader.kernels else False
    if not first.top or not second.top or set(first.top) != set(second.top):
        return (not first.top and not second.top) or refuted
    lead = max(first.top)
    ratio = first.top[lead] / second.top[lead]
    return all(first.top[m] == ratio * c for m, c in second.top.items()) or refuted


def _constant(value: Fraction) -> Quotient:
    return Quotient({(): value} if value else {}, _ONE)


def _generator(number: int) -> Quotient:
    return Quotient({((number, 1),): Fraction(1)}, _ONE)


def _monomial(powers: dict[int, int]) -> Monomial:
    return tuple(sorted((n, p) for n, p in powers.items() if p))


def _sum(a: Polynomial, b: Polynomial) -> Polynomial:
    found = dict(a)
    for monomial, factor in b.items():
        found[monomial] = found.get(monomial, Fraction(0)) + factor
    return {m: c for m, c in found.items() if c}


def _negative(value: Quotient) -> Quotient:
    return Quotient({m: -c for m, c in value.top.items()}, value.bottom)


def _inverse(value: Quotient) -> Quotient:
    if not value.top:
        raise Undefined("a division by zero")
    return Quotient(value.bottom, value.top)


def _factors(value: int) -> list[tuple[int, int]]:
    """Return prime factors with their powers; the last may be composite."""
    found = []
    prime = 2
    while prime * prime <= value and prime <= LARGEST_PRIME:
        power = 0
        while value % prime == 0:
            value //= prime
            power += 1
        if power:
            found.append((prime, power))
        prime += 1 if prime == 2 else 2
    if value > 1:
        root = round(value**0.5) if value.bit_length() < 100 else 0
        found.append((root, 2) if root > 1 and root * root == value else (value, 1))
    return found
