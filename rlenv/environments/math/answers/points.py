"""Points at which functions are compared, drawn anew each time from the system's entropy.

A point that is known beforehand can be provided for: a polynomial that vanishes there is added,
and nothing is noticed. Signs are mixed, scales are many and include those of the literals, and
there are points on both sides of corners and steps.
"""

from __future__ import annotations

import itertools
import math
import os
import random
from collections.abc import Iterator, Sequence
from fractions import Fraction

from mpmath import mp

from .exact import exact
from .limits import Budget, TooLarge, Undefined
from .nodes import Apply, Node, Number, constants_within, literal_digits, variables, walk

Point = dict[str, Fraction]
MOST_DRAWN = 72  # points, of which many may lie where a function has no value
_CORNERS = frozenset(
    {"abs", "floor", "ceil", "max", "min", "sgn", "gcd", "lcm", "sqrt", "root", "cbrt"}
)


class PointSource:
    """Draws points for one comparison.

    Args:
        budget: of steps.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.random = random.Random(os.urandom(16))

    def real(self, nodes: Sequence[Node], names: Sequence[str]) -> Iterator[Point]:
        """Draw points of mixed signs and many scales, some of them those of the literals."""
        sizes = [abs(value) for node in nodes for value in constants_within(node) if value]
        for turn in range(MOST_DRAWN):
            point = {}
            for place, name in enumerate(names):
                scale = Fraction(self.random.choice((1, 1, 1, 3, 10, 100, 10_000)))
                if sizes and turn % 5 in (2, 3):
                    scale = 2 * self.random.choice(sizes)
                if turn % 5 == 4:
                    scale = min(scale, Fraction(1))
                size = scale * Fraction(self.random.getrandbits(48) + 1, 1 << 48)
                # all positive, where most logarithms and roots live; all negative; mixed
                negative = (0, 1, (place + turn // 4) % 2, self.random.random() < 0.5)[turn % 4]
                point[name] = -size if negative else size
            yield point

    def corners(self, nodes: Sequence[Node], names: Sequence[str]) -> Iterator[Point]:
        """Draw points on both sides of corners and steps that lie where a line meets a number."""
        digits = sum(map(literal_digits, nodes))
        for part in itertools.chain(*map(walk, nodes)):
            if not (isinstance(part, Apply) and _is_corner(part) and variables(part)):
                continue
            inner = part.arguments[0]
            if part.name in ("max", "min") and len(part.arguments) == 2:
                inner = Apply("-", part.arguments)
            inside = [n for n in walk(inner) if isinstance(n, Apply) and n.name in ("+", "-")]
            for term in dict.fromkeys([inner, *inside[:4]]):
                whole = part.name in ("floor", "ceil") and term is inner
                for name in sorted(variables(term)):
                    point = next(self.real(nodes, names))
                    for at in self._crossings(term, name, point, digits, whole=whole):
                        yield {**point, name: at}

    def _crossings(
        self, term: Node, name: str, point: Point, digits: int, *, whole: bool
    ) -> Iterator[Fraction]:
        """Yield values of a letter around those at which a term is zero, or a whole number.

        Found for terms that are polynomials of the letter, of the fourth degree at most.
        """
        try:
            at = [exact(term, self.budget, {**point, name: Fraction(n)}) for n in range(7)]
            here = exact(term, self.budget, point)
        except (Undefined, TooLarge):
            return
        known = [value for value in at if value is not None]
        if len(known) < len(at) or here is None:
            return
        start, slope = known[0], known[1] - known[0]
        if any(known[n + 1] - known[n] != slope for n in range(6)):
            for root in _real_roots(known):
                for size in (Fraction(1), abs(root)):
                    for side in (-1, 1):
                        share = Fraction(self.random.getrandbits(20) + 1, 1 << 20)
                        yield root + side * size * share
            return
        if not slope:
            return
        target = Fraction(round(here) if whole else 0)
        for distance in (1, 10**3, 10**9, 10 ** (20 + digits), 10 ** (digits // 2 + 1)):
            for side in (-1, 0, 1):
                share = Fraction(side * (self.random.getrandbits(20) + 1), 1 << 20)
                yield (target - start + share / distance) / slope

    def whole(self, nodes: Sequence[Node], names: Sequence[str]) -> Iterator[Point]:
        """Draw whole numbers: small, middling, large, and as large as the literals."""
        within = [min(10**6, int(abs(v))) for node in nodes for v in constants_within(node)]
        literal = 4 * max(within, default=1) + 12
        highest = [12, 12, literal, 60, 400, literal, 12, 9999, literal, 10**6] + [30] * 20
        for turn, high in enumerate(highest):
            sizes = [high if turn % 2 else self.random.choice((high, 12)) for _ in names]
            sizes[self.random.randrange(len(sizes))] = high
            yield {
                name: Fraction(self.random.randint(0, size))
                for name, size in zip(names, sizes, strict=True)
            }


def has_corners(node: Node) -> bool:
    """Whether a part of an expression has corners or steps, which hide between points."""
    return any(isinstance(n, Apply) and _is_corner(n) for n in walk(node))


def _is_corner(node: Apply) -> bool:
    """Whether a function has corners or steps; the root of a square has one."""
    if node.name == "^":
        power = node.arguments[1]
        whole = isinstance(power, Number) and power.value.denominator == 1
        return not whole and bool(variables(node.arguments[0]))
    return node.name in _CORNERS and bool(variables(node))


def _real_roots(values: Sequence[Fraction]) -> list[Fraction]:
    """Return about where a polynomial is zero, whose values at 0, 1, 2, ... are given."""
    differences, heads = list(values), []
    while differences:
        heads.append(differences[0])
        differences = [b - a for a, b in itertools.pairwise(differences)]
    if any(heads[5:]):
        return []  # of a higher degree, or no polynomial
    # from Newton's form, by falling factorials, to powers
    coefficients = [Fraction(0)] * 5
    falling = [Fraction(1)]
    for order, head in enumerate(heads[:5]):
        for power, factor in enumerate(falling):
            coefficients[power] += factor * head / math.factorial(order)
        longer = [Fraction(0), *falling]
        for power, factor in enumerate(falling):
            longer[power] -= order * factor
        falling = longer
    while coefficients and not coefficients[-1]:
        coefficients.pop()
    if len(coefficients) < 3:
        return []
    largest = max(map(abs, coefficients))
    scaled = [mp.mpf(float(c / largest)) for c in reversed(coefficients)]
    try:
        roots = mp.polyroots(scaled, maxsteps=60, extraprec=60, error=False)
    except (mp.NoConvergence, ZeroDivisionError):
        return []
    return [Fraction(float(mp.re(root))) for root in roots]
