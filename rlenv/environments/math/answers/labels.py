"""Names in front of a value, as in `x = 5`."""

from __future__ import annotations

from .nodes import Apply, Node, Relation, Row, Symbol, variables


def is_label(node: Node) -> bool:
    """Whether this can be the name of a quantity: `x`, `a_3`, `f(x)`, `AB`, `|AB|`."""
    if isinstance(node, Symbol):
        return node.name not in ("infinity", "pi", "i", "e")
    if isinstance(node, Apply):
        if node.name.startswith("unknown:"):
            return True
        if node.name == "abs":
            return is_label(node.arguments[0])
        if node.name == "*":  # AB is the name of a length, xy is a product
            return all(
                (is_label(a) and str(getattr(a, "name", "A"))[:1].isupper())
                or (isinstance(a, Apply) and is_label(a))
                for a in node.arguments
            )
    if isinstance(node, Row):
        return all(isinstance(i, Symbol) for i in node.items)
    return False


def label(node: Node) -> Node | None:
    """Return the name in `name = value`, or None."""
    if isinstance(node, Relation) and set(node.signs) == {"="} and is_label(node.sides[0]):
        return node.sides[0]
    return None


def labelled(relation: Relation) -> Node | None:
    """Return the value in `name = value` or `value = name`, the last of a chain; else None."""
    if is_label(relation.sides[0]):
        return relation.sides[-1]
    if len(relation.sides) == 2 and is_label(relation.sides[1]):
        return None if variables(relation.sides[0]) else relation.sides[0]
    return None
