r"""Whether an answer is worked out, or only restates the task.

`31 + 27 \cdot 58` has the value that was asked for, and nobody had to find it. An answer is worked
out if it leaves no more to do than the gold answer does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from .exact import exact
from .lexer import plain
from .limits import Budget, TooLarge, Undefined, Unreadable
from .nodes import Apply, Bound, Node, Number, Quantity, Relation, Several, Symbol, variables
from .parser import parse

_FORMULAS = re.compile(
    r"\$\$?([^$]{1,400})\$\$?|\\\((.{1,400}?)\\\)|\\\[(.{1,400}?)\\\]", re.DOTALL
)
_MOST_FORMULAS = 20  # of a question that are looked at
# functions that are work wherever they stand; roots, logarithms and sines are so at numbers only
_WORK = frozenset(
    {
        "factorial", "double_factorial", "binom", "gcd", "lcm", "max", "min", "floor", "ceil",
        "det", "inverse", "transpose", "trace", "Re", "Im", "conjugate", "arg", "sgn",
    }
)  # fmt: skip


def is_evaluated(answer: Node, gold: Node, question: str) -> bool:
    """Whether an answer that is right is also worked out.

    Args:
        answer: as it was read.
        gold: the true answer; what work it leaves, an answer may leave as well.
        question: the task's text, of which no formula counts as an answer, unless the gold answer
            is written like it.
    """
    answer, gold = _value(answer), _value(gold)
    shape = _shape(gold)
    if _shape(answer) == shape:
        return True
    if _is_literal(gold) and not variables(answer):
        return _is_literal(answer)
    if not set(_work(answer)) <= set(_work(gold)):
        return False
    if _is_atom(answer):
        return True
    return _shape(answer) not in map(_shape, _formulas(question))


def _value(node: Node) -> Node:
    """Return what an answer states, without its name, its unit and the chain that leads there."""
    while True:
        if isinstance(node, Relation) and set(node.signs) <= {"=", "~"}:
            node = node.sides[-1]
        elif isinstance(node, Quantity):
            node = node.value
        else:
            return node


def _is_atom(node: Node) -> bool:
    return isinstance(node, (Number, Symbol)) or _is_literal(node)


def _is_literal(node: Node) -> bool:
    """Whether a node is a number, a fraction of whole numbers, or one in scientific notation."""
    if isinstance(node, Number):
        return True
    if isinstance(node, Several):
        return all(_is_literal(_value(item)) for item in node.items)
    if not isinstance(node, Apply):
        return False
    if node.name == "neg":
        return _is_literal(node.arguments[0])
    if node.name in ("/", "mixed"):
        return all(isinstance(_positive(a), Number) for a in node.arguments) or (
            node.name == "mixed" and _is_literal(node.arguments[1])
        )
    return _is_scientific(node)


def _positive(node: Node) -> Node:
    return node.arguments[0] if isinstance(node, Apply) and node.name == "neg" else node


def _is_scientific(node: Node) -> bool:
    if not (isinstance(node, Apply) and node.name == "*"):
        return False
    digits, power = node.arguments
    return (
        isinstance(_positive(digits), Number)
        and isinstance(power, Apply)
        and power.name == "^"
        and power.arguments[0] == Number(Fraction(10))
        and isinstance(_positive(power.arguments[1]), Number)
    )


def _work(node: Node) -> Iterator[str]:
    """Yield the names of what is left to do in an expression."""
    if _is_literal(node) and not isinstance(node, Several):
        return
    if isinstance(node, Bound):
        yield node.name
    if isinstance(node, Apply):
        if node.name in _WORK:
            yield node.name
        elif not variables(node) and _has_rational_value(node):
            yield f"{node.name} of numbers"
    for child in node.children():
        yield from _work(child)


def _has_rational_value(node: Node) -> bool:
    try:
        return exact(node, Budget(1_000)) is not None
    except (TooLarge, Undefined):
        return True


def _formulas(question: str) -> Iterator[Node]:
    for count, match in enumerate(_FORMULAS.finditer(question)):
        if count == _MOST_FORMULAS:
            return
        text = next(part for part in match.groups() if part is not None)
        try:
            yield _value(parse(plain(text)))
        except (Unreadable, TooLarge):
            continue


def _shape(node: Node) -> object:
    """Return what two expressions share that differ in the order of terms and factors only."""
    if isinstance(node, Apply) and node.name in ("+", "-", "*"):
        return (node.name in "+-", tuple(sorted(map(repr, _parts(node, node.name in "+-")))))
    if isinstance(node, Apply):
        return (node.name, tuple(map(_shape, node.arguments)))
    return node


def _parts(node: Node, is_sum: bool, sign: int = 1) -> Iterator[object]:
    if isinstance(node, Apply) and is_sum and node.name in ("+", "-", "neg"):
        for place, argument in enumerate(node.arguments):
            minus = node.name == "neg" or (node.name == "-" and place == 1)
            yield from _parts(argument, True, -sign if minus else sign)
    elif isinstance(node, Apply) and not is_sum and node.name == "*":
        for argument in node.arguments:
            yield from _parts(argument, False, sign)
    else:
        yield (sign, _shape(node))
