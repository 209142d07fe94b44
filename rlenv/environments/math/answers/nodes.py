"""The tree that an answer is read into."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction


@dataclass(frozen=True)
class Node:
    """Any part of an answer."""

    def children(self) -> tuple[Node, ...]:
        """Return the parts that lie directly in this one."""
        return ()


@dataclass(frozen=True)
class Number(Node):
    """A literal.

    Attributes:
        value: exact.
        digits: significant digits of a literal with a decimal point; None for whole numbers.
        places: digits after the decimal point, counted with a power of ten that follows.
    """

    value: Fraction
    digits: int | None = None
    places: int = 0


@dataclass(frozen=True)
class Symbol(Node):
    """A variable, a named constant (`pi`, `e`, `i`, `infinity`) or an ellipsis."""

    name: str


@dataclass(frozen=True)
class Apply(Node):
    """An operation or function on arguments: `+`, `*`, `/`, `^`, `neg`, `sin`, `root`, ..."""

    name: str
    arguments: tuple[Node, ...]

    def children(self) -> tuple[Node, ...]:
        """See `Node.children`."""
        return self.arguments


@dataclass(frozen=True)
class Bound(Node):
    """`sum`, `prod`, `int` or `lim` of a body over a variable.

    Attributes:
        name: which of them.
        variable: the bound one.
        low, high: the limits; for `lim`, low is the point that is approached.
        body: in which the variable is bound.
    """

    name: str
    variable: str
    low: Node
    high: Node
    body: Node

    def children(self) -> tuple[Node, ...]:
        """See `Node.children`."""
        return (self.low, self.high, self.body)


@dataclass(frozen=True)
class Quantity(Node):
    """A value with what follows it.

    Attributes:
        value: the number or expression.
        unit: unit names with their powers, `%` for percent.
    """

    value: Node
    unit: tuple[tuple[str, int], ...]

    def children(self) -> tuple[Node, ...]:
        """See `Node.children`."""
        return (self.value,)


@dataclass(frozen=True)
class Relation(Node):
    """`a < b <= c`: sides, and one sign fewer."""

    sides: tuple[Node, ...]
    signs: tuple[str, ...]

    def children(self) -> tuple[Node, ...]:
        """See `Node.children`."""
        return self.sides


@dataclass(frozen=True)
class Row(Node):
    """Items in order between brackets: a tuple, a vector, an interval."""

    items: tuple[Node, ...]
    opening: str
    closing: str

    def children(self) -> tuple[Node, ...]:
        """See `Node.children`."""
        return self.items


@dataclass(frozen=True)
class Several(Node):
    """Items whose order does not matter: a list of answers, or a set in braces.

    Attributes:
        items: the members.
        braces: whether it is a set.
        word: `or` where that word stands between the items.
    """

    items: tuple[Node, ...]
    braces: bool = False
    word: str = ""

    def children(self) -> tuple[Node, ...]:
        """See `Node.children`."""
        return self.items


@dataclass(frozen=True)
class Matrix(Node):
    """Rows of entries."""

    rows: tuple[tuple[Node, ...], ...]

    def children(self) -> tuple[Node, ...]:
        """See `Node.children`."""
        return tuple(entry for row in self.rows for entry in row)


@dataclass(frozen=True)
class SetOperation(Node):
    """`union`, `intersection` or `minus` of two sets."""

    name: str
    left: Node
    right: Node

    def children(self) -> tuple[Node, ...]:
        """See `Node.children`."""
        return (self.left, self.right)


CONSTANTS = frozenset({"pi", "e", "i", "infinity", "phi_golden"})


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and everything below it."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        waiting.extend(current.children())


def variables(node: Node) -> frozenset[str]:
    """Return the names of the free variables."""
    found = {n.name for n in walk(node) if isinstance(n, Symbol)} - CONSTANTS
    found -= {n.variable for n in walk(node) if isinstance(n, Bound)}
    return frozenset(found)


def substitute(node: Node, name: str, value: Node) -> Node:
    """Put a value for a variable: in sums, products, functions, relations, lists and tuples."""
    if node == Symbol(name):
        return value
    if isinstance(node, Apply):
        return replace(node, arguments=_each(node.arguments, name, value))
    if isinstance(node, Relation):
        return replace(node, sides=_each(node.sides, name, value))
    if isinstance(node, (Row, Several)):
        return replace(node, items=_each(node.items, name, value))
    return node


def _each(nodes: tuple[Node, ...], name: str, value: Node) -> tuple[Node, ...]:
    return tuple(substitute(node, name, value) for node in nodes)
