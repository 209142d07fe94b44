"""Whether two lists, sets, tuples, vectors or matrices are the same."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from fractions import Fraction

from .labels import label, labelled
from .nodes import Matrix, Node, Number, Relation, Row, Several, substitute, variables
from .values import Values


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
