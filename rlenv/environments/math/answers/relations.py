"""Whether two equations or inequalities are the same."""

from __future__ import annotations

from fractions import Fraction

from mpmath import mp

from .limits import Undefined, Unreadable
from .nodes import Apply, Node, Number, Relation, Symbol, substitute, variables, walk
from .normalize import labelled
from .numeric import Value, evaluate
from .sets import real_set, same_set
from .values import DIGITS, NEEDED, Values, assignments, near

_FLIP = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}


class Relations(Values):
    """The rules for equations, inequalities and memberships."""

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
            inner = labelled(relation)
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
        first, second = labelled(a), labelled(b)
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
            for values in assignments(names):
                try:
                    value = evaluate(node, values, self.budget)
                except Undefined:
                    continue
                except Unreadable:
                    return False
                if not isinstance(value, (mp.mpf, mp.mpc)) or abs(value) > mp.mpf(10) ** -35:
                    return False
                seen += 1
        return seen > NEEDED

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
            for values in assignments(names):
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
                elif not near(here, ratio, mp.mpf(10) ** (10 - DIGITS)):
                    return False
                valid += 1
        if ratio is None or valid <= NEEDED or not ratio:
            return False
        return not positive or (isinstance(ratio, mp.mpf) and ratio > 0)


def _difference(relation: Relation) -> Node:
    return Apply("-", (relation.sides[0], relation.sides[1]))


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
