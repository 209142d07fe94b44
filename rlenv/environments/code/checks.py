"""What an assertion says of a returned value, worked out on the trusted side.

`abs(f(2.5) - 0.5) < 1e-6` falls into a call, which runs beside the candidate, and the rest,
`abs(value - 0.5) < 1e-6`. The rest comes from a data set, so it is never handed to `eval`: this
module walks its tree. It admits literals, comparisons, arithmetic on numbers, subscripts and a
few builtins, none of which can run code or grow without bound, whatever the value is.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

VALUE = "value"  # the name that stands for what the candidate returned

_MOST_BITS = 100_000  # of an integer that arithmetic makes
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_SIGNS: Mapping[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
}
_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_CONTAINERS: Mapping[type[ast.expr], Callable[[Any], Any]] = {
    ast.List: list,
    ast.Tuple: tuple,
    ast.Set: set,
}
TYPES = {
    kind.__name__: kind
    for kind in (bool, bytes, complex, dict, float, frozenset, int, list, set, str, tuple)
}
_CONVERSIONS = {kind.__name__: kind for kind in (bool, float, int, list, str, tuple)}


class _Approximately:
    """`pytest.approx(x)`: equal to what is near x."""

    def __init__(self, expected: float, rel: float = 1e-6, abs: float = 1e-12) -> None:
        self.expected, self.rel, self.abs = expected, rel, abs

    def __eq__(self, other: object) -> bool:
        return _is_number(other) and math.isclose(
            other,  # type: ignore[arg-type]
            self.expected,
            rel_tol=self.rel,
            abs_tol=self.abs,
        )

    __hash__ = None  # type: ignore[assignment]


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    **_CONVERSIONS,
    **{f.__name__: f for f in (abs, all, any, isinstance, len, max, min, round, sorted, type)},
    "sum": lambda values: sum(map(_number, values)),
    "math.isclose": math.isclose,
    "isclose": math.isclose,
    "pytest.approx": _Approximately,
    "approx": _Approximately,
}
_WRONG = (
    *(ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError),
    *(TypeError, ValueError),
)


class Unsupported(ValueError):
    """The expression holds something that is not worked out here."""


def holds(check: ast.expr, value: Any) -> bool:
    """Say whether an assertion's expression is true of a value.

    Args:
        check: an expression that `require_supported` accepts.
        value: plain data of exact plain types, as the sandbox decodes it.

    Returns:
        Whether it is true; False where Python would have raised.
    """
    try:
        return bool(evaluate(check, value))
    except _WRONG:
        return False


def require_supported(check: ast.expr) -> None:
    """Raise `Unsupported` unless `holds` can work out the expression for every value."""
    parts: Sequence[ast.expr | None] = ()
    match check:
        case ast.Constant():
            return
        case ast.Name(id=name) if name == VALUE or name in TYPES:
            return
        case ast.Call(args=parts, keywords=keywords) if _called(check) in _FUNCTIONS:
            if any(keyword.arg is None for keyword in keywords):
                raise Unsupported("keywords in a mapping")
            parts = [*parts, *(keyword.value for keyword in keywords)]
        case ast.BinOp(op=op) if type(op) in _ARITHMETIC:
            parts = [check.left, check.right]
        case ast.Dict():
            parts = [*check.keys, *check.values]
        case ast.Compare() | ast.BoolOp() | ast.UnaryOp() | ast.Subscript() | ast.List():
            parts = [node for node in ast.iter_child_nodes(check) if isinstance(node, ast.expr)]
        case ast.Tuple() | ast.Set():
            parts = list(check.elts)
        case _:
            raise Unsupported(ast.unparse(check))
    for part in parts:
        if part is None:
            raise Unsupported("** in a dict")
        require_supported(part)


def evaluate(node: ast.expr, value: Any = None) -> Any:
    """Work out an expression.

    Args:
        node: a tree that `require_supported` accepts.
        value: what the name `value` stands for.

    Raises:
        Unsupported: a node of another kind, or arithmetic that would grow too large.
    """
    match node:
        case ast.Constant(value=constant):
            return constant
        case ast.Name(id=name):
            return value if name == VALUE else TYPES[name]
        case ast.List(elts=elts) | ast.Tuple(elts=elts) | ast.Set(elts=elts):
            return _CONTAINERS[type(node)]([evaluate(item, value) for item in elts])
        case ast.Dict():
            keys = (evaluate(key, value) for key in node.keys if key is not None)
            return dict(zip(keys, (evaluate(item, value) for item in node.values), strict=True))
        case ast.UnaryOp():
            return _SIGNS[type(node.op)](evaluate(node.operand, value))
        case ast.BinOp():
            return _arithmetic(node.op, evaluate(node.left, value), evaluate(node.right, value))
        case ast.BoolOp(op=junction, values=parts):
            result: Any = None
            for part in parts:
                result = evaluate(part, value)
                if bool(result) is isinstance(junction, ast.Or):
                    break
            return result
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            first = evaluate(left, value)
            for op, other in zip(ops, comparators, strict=True):
                second = evaluate(other, value)
                if not _COMPARISONS[type(op)](first, second):
                    return False
                first = second
            return True
        case ast.Subscript():
            return evaluate(node.value, value)[evaluate(node.slice, value)]
        case ast.Call():
            given = [evaluate(argument, value) for argument in node.args]
            named = {str(k.arg): evaluate(k.value, value) for k in node.keywords}
            return _FUNCTIONS[_called(node)](*given, **named)
    raise Unsupported(type(node).__name__)


def _called(node: ast.Call) -> str:
    return ast.unparse(node.func) if isinstance(node.func, (ast.Name, ast.Attribute)) else ""


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, complex))


def _number(value: Any) -> Any:
    if not _is_number(value):
        raise TypeError("arithmetic is for numbers")
    return value


def _arithmetic(op: ast.operator, left: Any, right: Any) -> Any:
    """Combine two numbers; strings and lists could be made to grow without bound."""
    _number(left), _number(right)
    if isinstance(left, int) and isinstance(right, int):
        if isinstance(op, ast.Pow):
            bits = left.bit_length() * max(right, 1)
        else:
            bits = left.bit_length() + right.bit_length()
        if bits > _MOST_BITS:
            raise Unsupported("an integer that large")
    return _ARITHMETIC[type(op)](left, right)
