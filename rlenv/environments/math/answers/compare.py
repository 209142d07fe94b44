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

from .families import renamings
from .members import Members
from .nodes import (
    Apply,
    Matrix,
    Node,
    Quantity,
    Relation,
    Row,
    SetOperation,
    Several,
    Symbol,
    variables,
)
from .quantities import Quantities
from .realsets import real_set, same_set
from .relations import Relations
from .tidying import tidy

OTHERWISE = Symbol("otherwise")


class Comparison(Relations, Members, Quantities):
    """One comparison: its budget and the rule that decided.

    Args:
        budget: of steps.
    """

    def same(self, a: Node, b: Node) -> bool:
        """Whether two answers are the same; symmetric in them.

        Raises:
            TooLarge: that takes more work or larger numbers than the limits allow.
        """
        read = a, b
        a, b = tidy(a), tidy(b)
        if self._same(a, b):
            return True
        rule = self.rule
        for renamed in renamings(*read):
            if self._same(a, tidy(renamed)):
                self.rule = "the letter's name does not matter"
                return True
        self.rule = rule
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
