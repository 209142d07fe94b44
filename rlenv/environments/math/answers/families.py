r"""Letters whose name does not matter: the whole number of a family, a constant of integration.

`2k\pi` and `2n\pi` with any whole numbers k and n are one set of solutions, and so are
`\pi/2 + k\pi` and `-\pi/2 + k\pi`; `x^2 + C` and `x^2 + K` are one set of functions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from .nodes import Apply, Node, Number, Relation, Several, Symbol, substitute, variables, walk

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


def _added(node: Node) -> set[str]:
    """Return the letters that stand as a term of their own in a sum, or in the last side."""
    if isinstance(node, Relation):
        return _added(node.sides[-1])
    if isinstance(node, Apply) and node.name == "+":
        return {name for part in node.arguments for name in _added(part)}
    if isinstance(node, Apply) and node.name == "-":
        return _added(node.arguments[0])
    return {node.name} if isinstance(node, Symbol) else set()
