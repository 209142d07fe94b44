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
    """`sum`, `prod`, `int`, `lim`, `diff` or `antiderivative` of a body over a variable.

    Attributes:
        name: which of them.
        variable: the bound one.
        low, high: the limits. For `lim`, low is the point that is approached and high says from
            where (1 from above, -1 from below, 0 from both); for `diff`, high is the order.
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
    return _free(node) - CONSTANTS


def _free(node: Node) -> frozenset[str]:
    if isinstance(node, Symbol):
        return frozenset((node.name,))
    inside: frozenset[str] = frozenset().union(*map(_free, node.children()))
    if isinstance(node, Bound) and node.name not in ("diff", "antiderivative"):
        return (_free(node.body) - {node.variable}) | _free(node.low) | _free(node.high)
    return inside


CALCULUS = frozenset({"int", "lim", "diff", "antiderivative"})


def has_calculus(node: Node) -> bool:
    """Whether a value can't be found by arithmetic alone: it holds a limit, an integral, ..."""
    return any(
        isinstance(n, Bound) and (n.name in CALCULUS or Symbol("infinity") in (n.low, n.high))
        for n in walk(node)
    )


def literal_digits(node: Node) -> int:
    """Return about how many digits the literals of an expression span: 30 for `10^{30}x + 1`."""
    if isinstance(node, Number):
        top, bottom = abs(node.value.numerator), node.value.denominator
        return (top.bit_length() + bottom.bit_length()) * 3 // 10
    if isinstance(node, Apply) and node.name in ("^", "exp") and not variables(node.arguments[-1]):
        base = literal_digits(node.arguments[0]) if node.name == "^" else 0
        constant = not variables(node.arguments[0]) or node.name == "exp"
        power = node.arguments[-1]
        return _magnitude(power) * (base + constant) + literal_digits(power)
    if isinstance(node, Apply) and "factorial" in node.name and not variables(node):
        size = _magnitude(node.arguments[0])
        return size * len(str(size))
    return sum(map(literal_digits, node.children()))


def _magnitude(node: Node) -> int:
    """Return about how large an exponent is, from above and never more than a million."""
    if isinstance(node, Number):
        return min(10**6, int(abs(node.value)) + 1)
    if isinstance(node, Symbol):
        return 3
    parts = [_magnitude(child) for child in node.children()]
    if isinstance(node, Apply) and node.name == "^" and len(parts) == 2:
        return 10**6 if parts[1] * len(str(parts[0])) > 7 else min(10**6, parts[0] ** parts[1])
    if isinstance(node, Apply) and "factorial" in node.name:
        return 10**6
    product = 1
    for part in parts:
        product = min(10**6, product * (part + 1))
    return product


def constants_within(node: Node) -> list[Fraction]:
    """Return the numbers in an expression, with powers of numbers worked out where small."""
    found = []
    for n in walk(node):
        if isinstance(n, Number):
            found.append(n.value)
        elif isinstance(n, Apply) and n.name == "^":
            base, power = n.arguments
            if isinstance(base, Number) and isinstance(power, Number):
                exponent = power.value
                if exponent.denominator == 1 and 0 < exponent <= 400 and base.value:
                    found.append(base.value**exponent.numerator)
    return found[:50]


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
    if isinstance(node, Matrix):
        return Matrix(tuple(_each(row, name, value) for row in node.rows))
    if isinstance(node, Bound):
        low, high = substitute(node.low, name, value), substitute(node.high, name, value)
        body = node.body if node.variable == name else substitute(node.body, name, value)
        kept = node.variable == name and node.name in ("diff", "antiderivative")
        if kept or node.variable in variables(value):
            return node  # a point can only be put in once the derivative is found
        return replace(node, low=low, high=high, body=body)
    if isinstance(node, Quantity):
        return replace(node, value=substitute(node.value, name, value))
    return node


def _each(nodes: tuple[Node, ...], name: str, value: Node) -> tuple[Node, ...]:
    return tuple(substitute(node, name, value) for node in nodes)
