"""Whether two equations or inequalities are the same."""

from __future__ import annotations

from mpmath import mp

from . import symbolic
from .limits import TooLarge
from .nodes import (
    Apply,
    Node,
    Number,
    Relation,
    Symbol,
    literal_digits,
    substitute,
    variables,
    walk,
)
from .normalize import labelled
from .rational import proportional_tops
from .sets import RegionReader, same_set
from .values import DIGITS, MOST_DIGITS, Values

_FLIP = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}


class Relations(Values):
    """The rules for equations, inequalities and memberships."""

    def _relations(self, a: Node, b: Node) -> bool:
        self.rule = "relation"
        if not isinstance(b, Relation):
            return self._same_as_relation(b, a)
        if not isinstance(a, Relation):
            return self._same_as_relation(a, b)
        a, b = _ascending(a), _ascending(b)
        if a == b:
            return True
        alike = a.sides[0] == b.sides[0] and a.signs == b.signs
        if alike and all(self._same(x, y) for x, y in zip(a.sides[1:], b.sides[1:], strict=True)):
            return True
        if set(a.signs) == {"="} == set(b.signs):
            return self._equations(a, b)
        if variables(a) != variables(b):
            return False
        same = self._same_region(a, b)
        return self._inequalities(a, b) if same is None else same

    def _same_as_relation(self, value: Node, relation: Node) -> bool:
        """Compare a bare value, interval or set with `x = ...`, `x < ...` or `x in ...`."""
        assert isinstance(relation, Relation)
        if set(relation.signs) == {"="}:
            inner = labelled(relation)
            if inner is None and _is_asked_for(relation.sides[0]) and not variables(value):
                inner = relation.sides[-1]
            if inner is None and self._holds(relation):
                inner = relation.sides[-1]  # 3/4 = 0.75, (x+1)^2 = x^2+2x+1
            return inner is not None and self._same(value, inner)
        return bool(self._same_region(relation, value))

    def _same_region(self, a: Node, b: Node) -> bool | None:
        """Whether two sets of real numbers are one; None where one can't be read as such."""
        digits = literal_digits(a) + literal_digits(b)
        if digits > MOST_DIGITS:
            raise TooLarge("literals of thousands of digits")
        with mp.workdps(2 * DIGITS + digits):
            solver = RegionReader(self._number, self.budget)
            first = solver.region(a)
            second = solver.region(b) if first is not None else None
            if first is None or second is None:
                return None
            same = same_set(first, second)
        if same and solver.irrational:
            self._note(1)
        return same

    def _holds(self, relation: Relation) -> bool:
        """Whether all sides of a chain of constants are equal."""
        first, *others = relation.sides
        return all(self._same(first, side) for side in others)

    def _equations(self, a: Relation, b: Relation) -> bool:
        first, second = labelled(a), labelled(b)
        renamed = _renamed(a.sides[0], b.sides[0])
        if first is not None and second is not None and renamed:
            for place, (mine, other) in enumerate(renamed):
                shared_name = Symbol(f"argument {place}")
                first = substitute(first, mine, shared_name)
                second = substitute(second, other, shared_name)
            return self._same(first, second)
        if first is not None and second is not None:
            names = a.sides[0], b.sides[0]
            called = [isinstance(n, Apply) and n.name.startswith("unknown:") for n in names]
            shared = variables(first) & variables(second)
            # y = x^2 and f(x) = x^2 are one function
            plain = [n for n, call in zip(names, called, strict=True) if not call]
            if len(plain) == 1 and isinstance(plain[0], Symbol) and shared:
                return self._same(first, second)
        if len(a.sides) != 2 or len(b.sides) != 2:
            named_alike = a.sides[0] == b.sides[0]
            return (
                first is not None
                and second is not None
                and named_alike
                and self._same(first, second)
            )
        return self._proportional(_difference(a), _difference(b), positive=False)

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
        """Whether a vanishes where b does, as constant multiples or numerators of them do."""
        names = sorted(variables(a) | variables(b))
        if not names:
            return False
        if not positive:
            proved = proportional_tops(a, b, self.budget)
            if proved is False and any(map(_has_division, (a, b))):
                tops = [symbolic.numerator(node) for node in (a, b)]
                if tops[0] is not None and tops[1] is not None:
                    proved = proportional_tops(tops[0], tops[1], self.budget)
            if proved is not None:
                return proved
        point = self._drawn((a, b), names)
        fixed = [a, b]
        for name, value in point.items():
            fixed = [substitute(node, name, value) for node in fixed]
        values = [self._number(node) for node in fixed]
        if values[0] is None or values[1] is None or not values[0] or not values[1]:
            return False
        if positive and values[0] / values[1] < 0:
            return False
        return self._values(Apply("*", (a, fixed[1])), Apply("*", (b, fixed[0])))


def _difference(relation: Relation) -> Node:
    return Apply("-", (relation.sides[0], relation.sides[1]))


def _ascending(relation: Relation) -> Relation:
    """Write a chain of `>` from its other end."""
    if set(relation.signs) <= {">", ">="}:
        signs = tuple(_FLIP[sign] for sign in reversed(relation.signs))
        return Relation(tuple(reversed(relation.sides)), signs)
    return relation


def _has_division(node: Node) -> bool:
    return any(isinstance(n, Apply) and n.name == "/" for n in walk(node))


def _is_asked_for(node: Node) -> bool:
    """Whether a value is stated for this, as in tan(x) = 3/4 and a/b = 3/4."""
    named = isinstance(node, Apply) and node.name in {"/", "sin", "cos", "tan", "cot"}
    return named and bool(variables(node)) and not any(isinstance(n, Number) for n in walk(node))


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
