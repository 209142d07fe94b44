r"""Bringing what is written in several ways into one form.

Names in front of a value (`x = 5`) are labels. Some letters have names that do not matter: `2k\pi`
and `2n\pi` with any whole numbers k and n are one set of solutions, and so are `\pi/2 + k\pi` and
`-\pi/2 + k\pi`; `x^2 + C` and `x^2 + K` are one set of functions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from .limits import TooLarge
from .nodes import (
    Apply,
    Node,
    Number,
    Quantity,
    Relation,
    Row,
    SetOperation,
    Several,
    Symbol,
    substitute,
    variables,
    walk,
)


def is_label(node: Node) -> bool:
    """Whether this can be the name of a quantity: `x`, `a_3`, `f(x)`, `AB`, `|AB|`, `Δx`."""
    if isinstance(node, Symbol):
        return node.name not in ("infinity", "pi", "i", "e")
    if isinstance(node, Apply):
        if node.name.startswith("unknown:"):
            return True
        if node.name == "abs":
            return is_label(node.arguments[0])
        if node.name == "*":  # AB is the name of a length, xy is a product
            if node.arguments[0] == Symbol("Delta") and len(node.arguments) == 2:
                return isinstance(node.arguments[1], Symbol)  # a change of something
            return all(
                (is_label(a) and str(getattr(a, "name", "A"))[:1].isupper())
                or (isinstance(a, Apply) and is_label(a))
                for a in node.arguments
            )
        if node.name == "/":  # dy/dx
            return all(_is_differential(a) for a in node.arguments)
    if isinstance(node, Row):
        return all(isinstance(i, Symbol) for i in node.items)
    if isinstance(node, SetOperation):
        return isinstance(node.left, Symbol) and isinstance(node.right, Symbol)
    return False


def called_as_product(node: Node, letters: frozenset[str]) -> Node:
    """Read `P(1+r)^t` as a product where P is one of the letters, not as a function's value."""
    if isinstance(node, Apply) and node.name == "^":
        base, power = node.arguments
        if isinstance(base, Apply) and _called(base, letters) is not None:
            inner = called_as_product(base.arguments[0], letters)
            raised = Apply("^", (inner, called_as_product(power, letters)))
            return Apply("*", (Symbol(str(_called(base, letters))), raised))
    if isinstance(node, Apply):
        read = tuple(called_as_product(part, letters) for part in node.arguments)
        name = _called(node, letters)
        return replace(node, arguments=read) if name is None else Apply("*", (Symbol(name), *read))
    if isinstance(node, Relation):
        return replace(node, sides=tuple(called_as_product(s, letters) for s in node.sides))
    if isinstance(node, (Row, Several)):
        return replace(node, items=tuple(called_as_product(i, letters) for i in node.items))
    return node


def _called(node: Apply, letters: frozenset[str]) -> str | None:
    """Return the letter that is called with one argument, if it is one of some."""
    name = node.name.removeprefix("unknown:")
    called = name != node.name and name[:1] not in "fgh" and len(node.arguments) == 1
    return name if called and name in letters else None


def _is_differential(node: Node) -> bool:
    """Whether this is `dy` or `d^2 y`, `dx` or `dx^2`."""
    if not (isinstance(node, Apply) and node.name == "*"):
        return False
    parts = [
        a.arguments[0] if isinstance(a, Apply) and a.name == "^" else a for a in node.arguments
    ]
    return parts[0] in (Symbol("d"), Symbol("partial")) and isinstance(parts[1], Symbol)


def label(node: Node) -> Node | None:
    """Return the name in `name = value`, or None."""
    if isinstance(node, Relation) and set(node.signs) == {"="} and is_label(node.sides[0]):
        return node.sides[0]
    return None


def labels_within(node: Node) -> frozenset[str]:
    r"""Return the names in a list such as `x_1 = 2, x_2 = 3`, without indices.

    A single `x = 5` has none here: what its name means is decided where equations are compared.
    """
    if isinstance(node, Several):
        items = [i for item in node.items for i in (item.children() if _is_group(item) else [item])]
        labels = [label(item) for item in items]
        return frozenset(n.name.split("_")[0] for n in labels if isinstance(n, Symbol))
    if isinstance(node, Relation) and node.signs in (("=",), ("in",)):
        name, value = node.sides
        if isinstance(name, Symbol) and (node.signs == ("in",) or isinstance(value, Several)):
            return frozenset({name.name.split("_")[0]})
        if isinstance(name, Row) and isinstance(value, (Row, Several)):
            return frozenset(n.name for n in name.items if isinstance(n, Symbol))
    return frozenset()


def _is_group(node: Node) -> bool:
    return isinstance(node, Several) and not node.braces


def labelled(relation: Relation) -> Node | None:
    """Return the value in `name = value` or `value = name`, the last of a chain; else None."""
    if is_label(relation.sides[0]):
        return relation.sides[-1]
    if len(relation.sides) == 2 and is_label(relation.sides[1]):
        return None if variables(relation.sides[0]) else relation.sides[0]
    return None


_NATURALS = Symbol("set:naturals")
_WHOLE = {Symbol("set:integers"), _NATURALS}
_LETTERS = frozenset("knm")
_CONSTANTS = frozenset({"C", "c", "K", "k", "C_1", "c_1"})
_SHIFTS = (0, 1, -1, 2, -2)

_UPRIGHT = re.compile(r"\\(?:text|textrm|mathrm|mbox)\s*\{([^{}]*)\}|\\q?quad\b|\\[,;: ]")
_IN = r"([a-z])\s*\\in\s*\\(?:mathbb|mathbf)\s*\{?\s*Z\s*\}?"
_REMARK = re.compile(
    r"[\s,;]*(?:(?:for|where|with|and)\s+)?(?:(?:any|some|all|every|each)\s+)?"
    rf"(?:\(\s*{_IN}\s*\)|{_IN}|integers?\s+([a-z])"
    r"|([a-z])\s+(?:is\s+)?(?:an(?:y)?\s+)?(?:arbitrary\s+)?integer)\s*$"
)
_BUILT = re.compile(rf"\\\{{(.+?)(?:\\mid|\||:)\s*{_IN}\s*\\\}}\s*$", re.DOTALL)


def stated(text: str) -> str:
    r"""Write every way to say that a letter is any whole number as `, k \in \mathbb{Z}`.

    Args:
        text: an answer.
    """
    if len(text) > 500 or not ("integer" in text or "Z" in text):
        return text
    said = _UPRIGHT.sub(lambda m: f" {m[1] or ''} ", text)
    found = _BUILT.fullmatch(said.strip())
    if found:
        body, letter = found[1], found[2]
    else:
        found = _REMARK.search(said)
        if not found:
            return text
        body, letter = said[: found.start()], next(filter(None, found.groups()))
    return rf"{body.strip()}, {letter} \in \mathbb{{Z}}" if body.strip() else text


def is_any_whole(node: Node) -> bool:
    r"""Whether this only says what a letter is, as `k \in \mathbb{Z}` does."""
    return isinstance(node, Relation) and node.signs == ("in",) and node.sides[1] in _WHOLE


def renamings(a: Node, b: Node) -> Iterator[Node]:
    """Yield the forms of b that say the same with another letter, or another first member.

    Args:
        a: an answer, as it was read.
        b: another.
    """
    letters = [_declared(node) or _likely(node) for node in (a, b)]
    declared = any(map(_declared, (a, b)))
    # without a word of whole numbers (n - 2) pi may be the angles of a polygon: it is not n pi
    known = declared or all(Symbol("pi") in walk(node) for node in (a, b))
    if known and letters[0] and letters[1]:
        ours = Symbol(letters[0])
        yield substitute(b, letters[1], ours)
        if declared and not any(_NATURALS in walk(node) for node in (a, b)):
            for shift in _SHIFTS:
                moved = Apply("+", (ours, Number(Fraction(shift))))
                yield substitute(b, letters[1], moved)
                yield substitute(b, letters[1], Apply("neg", (moved,)))
    ours_free, theirs_free = variables(a) - variables(b), variables(b) - variables(a)
    if len(ours_free) == len(theirs_free) == 1:
        (one,), (other,) = ours_free, theirs_free
        if {one, other} <= _CONSTANTS and one in _added(a) and other in _added(b):
            yield substitute(b, other, Symbol(one))


def _declared(node: Node) -> str:
    """Return the letter that an answer says to be any whole number, or an empty string."""
    for item in node.items if isinstance(node, Several) else ():
        if isinstance(item, Relation) and is_any_whole(item) and isinstance(item.sides[0], Symbol):
            return item.sides[0].name
    return ""


def _likely(node: Node) -> str:
    """Return the one letter of an answer that usually stands for any whole number, if it is one."""
    found = variables(node) & _LETTERS
    return next(iter(found)) if len(found) == 1 else ""


def integration_constant(node: Node) -> str:
    """Return the letter of a constant of integration, added once and used nowhere else, or ""."""
    letters = _added(node) & _CONSTANTS
    uses = [n.name for n in walk(node) if isinstance(n, Symbol) and n.name in letters]
    return uses[0] if len(uses) == 1 else ""


def _added(node: Node) -> set[str]:
    """Return the letters that stand as a term of their own in a sum, or in the last side."""
    if isinstance(node, Relation):
        return _added(node.sides[-1])
    if isinstance(node, Apply) and node.name == "+":
        return {name for part in node.arguments for name in _added(part)}
    if isinstance(node, Apply) and node.name == "-":
        return _added(node.arguments[0])
    return {node.name} if isinstance(node, Symbol) else set()


def normalize(node: Node) -> Node:
    """Bring what is written in several ways into one form."""
    if isinstance(node, Quantity) and isinstance(node.value, Several):
        node = Several(
            tuple(Quantity(item, node.unit) for item in node.value.items), node.value.braces
        )
    both = _both_signs(node)
    if both is not None:
        return normalize(both)
    if isinstance(node, Several):
        items: list[Node] = []
        for item in node.items:
            if len(node.items) > 1 and is_any_whole(item):
                continue  # `..., k an integer` only says what the letter is
            item = normalize(item)
            # the signs of a plus-minus are members of the list that they stand in
            flat = isinstance(item, Several) and not item.braces and not _has_groups(node)
            items.extend(item.items if flat and isinstance(item, Several) else [item])
        if len(items) == 1:
            return items[0]
        normalized = _unlabel(Several(tuple(items), node.braces, node.word))
        return _conditions(normalized) if isinstance(normalized, Several) else normalized
    if isinstance(node, Row):
        return Row(tuple(normalize(item) for item in node.items), node.opening, node.closing)
    if isinstance(node, Relation):
        if node.signs == ("in",):
            return normalize(node.sides[1])
        if node.signs in (("=",), ("~",)):
            left, right = node.sides[0], normalize(node.sides[1])
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
    conditions = [item for item in node.items if isinstance(item, (Relation, SetOperation))]
    if len(conditions) != len(node.items) or node.braces or not conditions:
        return node
    names = {name for item in conditions for name in variables(item)}
    signs = {
        s for item in conditions for n in walk(item) if isinstance(n, Relation) for s in n.signs
    }
    if len(names) != 1 or signs & {"=", "~", "in"}:
        return node
    joined: Node = conditions[0]
    for item in conditions[1:]:
        kind = {"or": "union", "and": "intersection"}.get(node.word, "conditions")
        joined = SetOperation(kind, joined, item)
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
