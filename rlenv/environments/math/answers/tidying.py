"""Bringing what is written in several ways into one form."""

from __future__ import annotations

from .errors import TooLarge
from .families import is_any_whole
from .labels import is_label, label, labelled
from .nodes import (
    Apply,
    Node,
    Quantity,
    Relation,
    Row,
    SetOperation,
    Several,
    variables,
    walk,
)


def tidy(node: Node) -> Node:
    """Bring what is written in several ways into one form."""
    if isinstance(node, Quantity) and isinstance(node.value, Several):
        node = Several(
            tuple(Quantity(item, node.unit) for item in node.value.items), node.value.braces
        )
    both = _both_signs(node)
    if both is not None:
        return tidy(both)
    if isinstance(node, Several):
        items: list[Node] = []
        for item in node.items:
            if len(node.items) > 1 and is_any_whole(item):
                continue  # `..., k an integer` only says what the letter is
            item = tidy(item)
            # the signs of a plus-minus are members of the list that they stand in
            flat = isinstance(item, Several) and not item.braces and not _has_groups(node)
            items.extend(item.items if flat and isinstance(item, Several) else [item])
        if len(items) == 1:
            return items[0]
        tidied = _unlabel(Several(tuple(items), node.braces, node.word))
        return _conditions(tidied) if isinstance(tidied, Several) else tidied
    if isinstance(node, Row):
        return Row(tuple(tidy(item) for item in node.items), node.opening, node.closing)
    if isinstance(node, Relation):
        if node.signs == ("in",):
            return tidy(node.sides[1])
        if node.signs == ("=",):
            left, right = node.sides[0], tidy(node.sides[1])
            if isinstance(right, (Several, Row, SetOperation)) and is_label(left):
                if isinstance(right, Several) and not right.braces:
                    return (
                        Several(tuple(Relation((left, r), ("=",)) for r in right.items))
                        if any(isinstance(r, Relation) for r in right.items)
                        else right
                    )
                return right
            return Relation((left, right), ("=",))
    return node


def _conditions(node: Several) -> Node:
    """Join inequalities in one variable into one set."""
    relations = [item for item in node.items if isinstance(item, Relation)]
    if len(relations) != len(node.items) or node.braces or not relations:
        return node
    names = {name for item in relations for name in variables(item)}
    if len(names) != 1 or any(sign in ("=", "in") for item in relations for sign in item.signs):
        return node
    joined: Node = relations[0]
    for item in relations[1:]:
        joined = SetOperation("union" if node.word == "or" else "conditions", joined, item)
    return joined


def _has_groups(node: Several) -> bool:
    return any(isinstance(i, Several) and not i.braces for i in node.items) and all(
        isinstance(i, Several) for i in node.items
    )


def _unlabel(node: Several) -> Node:
    """Drop the label of `n = 2, 3, 4` and of `x = 1 or x = 2`; `x = 5, y = 2` keeps its two."""
    if _has_groups(node):
        rows = []
        for group in node.items:
            assert isinstance(group, Several)
            labels = [label(item) for item in group.items]
            if None in labels or len(set(labels)) != len(labels):
                return node
            values = [labelled(item) for item in group.items if isinstance(item, Relation)]
            rows.append(Row(tuple(v for v in values if v is not None), "(", ")"))
        return Several(tuple(rows), node.braces)
    seen = {label(item) for item in node.items}
    named = seen - {None}
    if len(named) != 1 or (None in seen and label(node.items[0]) is None):
        return node
    return Several(
        tuple(
            (labelled(item) or item) if isinstance(item, Relation) else item for item in node.items
        ),
        node.braces,
    )


def _both_signs(node: Node) -> Node | None:
    """Write out a plus-minus as the two values that it stands for."""
    if isinstance(node, Several) or not any(
        isinstance(n, Apply) and n.name in ("pm", "mp") for n in walk(node)
    ):
        return None
    return Several((_with_sign(node, "+"), _with_sign(node, "-")))


def _with_sign(node: Node, sign: str) -> Node:
    if isinstance(node, Apply):
        arguments = tuple(_with_sign(a, sign) for a in node.arguments)
        if node.name in ("pm", "mp"):
            plus = (sign == "+") == (node.name == "pm")
            return Apply("+" if plus else "-", arguments)
        return Apply(node.name, arguments)
    if isinstance(node, Relation):
        return Relation(tuple(_with_sign(s, sign) for s in node.sides), node.signs)
    if isinstance(node, Quantity):
        return Quantity(_with_sign(node.value, sign), node.unit)
    if isinstance(node, Row):
        items = tuple(_with_sign(item, sign) for item in node.items)
        return Row(items, node.opening, node.closing)
    if any(isinstance(n, Apply) and n.name in ("pm", "mp") for n in walk(node)):
        raise TooLarge("a plus-minus inside a set, a matrix or a sum")
    return node
