"""What sympy is asked: calculus, matrices, and inequalities that are not linear.

Expressions are built from our tree, node by node; no text ever reaches sympy. What it finds is
turned into our tree again, so that there is one way in which values are compared, or it is checked
at points. sympy is imported on first use, because that takes longer than most comparisons, and no
question may take it more than two seconds.
"""

from __future__ import annotations

import functools
import importlib
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from types import FrameType
from typing import Any

from mpmath import mp

from .limits import TooLarge, Undefined, Unreadable
from .nodes import (
    CONSTANTS,
    Apply,
    Bound,
    Matrix,
    Node,
    Number,
    Quantity,
    Relation,
    Symbol,
    has_calculus,
    literal_digits,
    substitute,
    walk,
)

SECONDS = 2.0  # of processor time that sympy may think about one question
MOST_DIGITS = 1_000  # of the literals that it gets
LARGEST_MATRIX = 6  # rows and columns
Expression = Any  # of sympy
Solution = list[tuple[Any, Any, bool, bool]]  # intervals: the ends, and whether they belong
before_import: Callable[[], None] = lambda: None  # noqa: E731 told when sympy is first needed
after_import: Callable[[], None] = lambda: None  # noqa: E731


@functools.cache
def _sympy() -> Any:
    before_import()
    try:
        return importlib.import_module("sympy")
    finally:
        after_import()


class _Late(Exception):
    pass


@contextmanager
def _limited() -> Iterator[None]:
    """Stop after two seconds of processor time, in a process's main thread, as in a worker."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise _Late

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS, 0.1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _asked(question: Callable[[], Any]) -> Any:
    """Return what sympy says, or None where it fails, whatever way."""
    try:
        with _limited():
            return question()
    except (TooLarge, Undefined, MemoryError):
        raise
    except (_Late, Exception):  # noqa: BLE001 sympy raises all there is
        return None


def is_matrix_work(node: Node) -> bool:
    """Whether an expression is arithmetic on matrices."""
    return isinstance(node, Apply) and any(isinstance(n, Matrix) for n in walk(node))


@functools.lru_cache(maxsize=64)
def calculated(node: Node) -> Node:
    """Return an expression with derivatives, integrals, sums, limits and matrices worked out.

    Args:
        node: an expression. A part that sympy can't work out is left as it is.

    Raises:
        TooLarge: its literals are too long.
        Undefined: a part has no value, such as the inverse of a singular matrix.
    """
    if is_matrix_work(node):
        return _worked_out(node) or node
    if isinstance(node, Apply):
        return replace(node, arguments=tuple(map(calculated, node.arguments)))
    if isinstance(node, Matrix):
        return Matrix(tuple(tuple(map(calculated, row)) for row in node.rows))
    if isinstance(node, Quantity):
        return replace(node, value=calculated(node.value))
    if not isinstance(node, Bound):
        return node
    low, high, body = (calculated(n) for n in (node.low, node.high, node.body))
    node = replace(node, low=low, high=high, body=body)
    return (_worked_out(node) or node) if has_calculus(node) else node


def _worked_out(node: Node) -> Node | None:
    if literal_digits(node) > MOST_DIGITS:
        raise TooLarge("literals of a thousand digits in a limit, an integral or a matrix")
    sympy = _sympy()
    found: Node | None = _asked(lambda: _to_node(sympy, _to_sympy(sympy, node)))
    return found


def solution(relation: Relation, name: str, digits: int) -> Solution | None:
    """Solve an inequality or equation for real values of its one variable.

    Args:
        relation: of two sides.
        name: of the variable.
        digits: to which the ends are found.

    Returns:
        Intervals as their ends and whether those belong to them; None where sympy can't say.
    """
    if literal_digits(relation) > MOST_DIGITS:
        raise TooLarge("literals of a thousand digits in an inequality")
    sympy = _sympy()
    makes = {"<": sympy.Lt, "<=": sympy.Le, ">": sympy.Gt, ">=": sympy.Ge, "=": sympy.Eq}

    def solve() -> Solution | None:
        left, right = (_to_sympy(sympy, side) for side in relation.sides)
        letter = sympy.Symbol(name, real=True)
        sign = relation.signs[0]
        if sign == "!=":
            roots = sympy.solveset(left - right, letter, sympy.S.Reals)
            found = sympy.S.Reals - roots
        elif sign == "=":
            found = sympy.solveset(left - right, letter, sympy.S.Reals)
        else:
            statement = makes[sign](left, right)
            if statement in (True, False):
                found = sympy.S.Reals if statement == True else sympy.S.EmptySet  # noqa: E712
            else:
                found = sympy.solve_univariate_inequality(statement, letter, relational=False)
        return _intervals(sympy, found, digits)

    intervals: Solution | None = _asked(solve)
    return intervals


def _intervals(sympy: Any, found: Any, digits: int) -> Solution | None:
    if found is sympy.S.EmptySet:
        return []
    if isinstance(found, sympy.FiniteSet):
        if not all(value.is_real for value in found):
            return None
        ends = [_number(sympy, value, digits) for value in found]
        return [(end, end, True, True) for end in ends]
    if isinstance(found, sympy.Interval):
        low, high = (_number(sympy, end, digits) for end in (found.start, found.end))
        return [(low, high, not found.left_open, not found.right_open)]
    if isinstance(found, sympy.Union):
        parts = [_intervals(sympy, part, digits) for part in found.args]
        if any(part is None for part in parts):
            return None
        return [interval for part in parts if part is not None for interval in part]
    return None


def _number(sympy: Any, value: Expression, digits: int) -> Any:
    if value in (sympy.oo, -sympy.oo):
        return mp.inf if value == sympy.oo else mp.ninf
    return mp.mpf(sympy.N(value, digits)._to_mpmath(mp.prec))


# From our tree to sympy

_SAME_NAME = {
    "sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "coth", "sech", "csch",
    "exp", "sqrt", "cbrt", "floor", "factorial", "conjugate", "arg", "gcd", "lcm", "root",
}  # fmt: skip
_RENAMED = {
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arccot": "acot", "arsinh": "asinh",
    "arcosh": "acosh", "artanh": "atanh", "abs": "Abs", "ceil": "ceiling", "Re": "re", "Im": "im",
    "sgn": "sign", "max": "Max", "min": "Min", "binom": "binomial", "ln": "log", "log": "log",
    "double_factorial": "factorial2",
}  # fmt: skip


def _to_sympy(sympy: Any, node: Node) -> Expression:
    if isinstance(node, Number):
        return sympy.Rational(node.value.numerator, node.value.denominator)
    if isinstance(node, Symbol):
        return _letter(sympy, node.name)
    if isinstance(node, Matrix):
        if max(len(node.rows), len(node.rows[0])) > LARGEST_MATRIX:
            raise TooLarge("a matrix of many rows")
        return sympy.ImmutableMatrix([[_to_sympy(sympy, e) for e in row] for row in node.rows])
    if isinstance(node, Bound):
        return _bound(sympy, node)
    if not isinstance(node, Apply):
        raise Unreadable("no expression")
    arguments = [_to_sympy(sympy, a) for a in node.arguments]
    match node.name, arguments:
        case ("+" | "mixed", (a, b)):
            return a + b
        case ("-", (a, b)):
            return a - b
        case ("*", (a, b)):
            return a * b
        case ("/", (a, b)):
            if b == 0:
                raise Undefined("a division by zero")
            return a / b
        case ("neg", (a,)):
            return -a
        case ("^", (a, b)):
            if getattr(a, "is_Matrix", False) and b == -1:
                return _inverse(a)
            return a**b
        case ("degree", (a,)):
            return a * sympy.pi / 180
        case ("log10", (a,)):
            return sympy.log(a, 10)
        case ("det", (a,)):
            return a.det()
        case ("transpose", (a,)):
            return a.T
        case ("inverse", (a,)):
            return _inverse(a)
        case ("trace", (a,)):
            return a.trace()
    if node.name.startswith("unknown:"):
        return sympy.Function(node.name)(*arguments)
    name = node.name if node.name in _SAME_NAME else _RENAMED.get(node.name)
    if name is None:
        raise Unreadable(node.name)
    return getattr(sympy, name)(*arguments)


def _inverse(matrix: Any) -> Any:
    if matrix.rows != matrix.cols or matrix.det() == 0:
        raise Undefined("a matrix without an inverse")
    return matrix.inv()


def _letter(sympy: Any, name: str) -> Expression:
    constants = {"pi": sympy.pi, "e": sympy.E, "i": sympy.I, "infinity": sympy.oo}
    if name in constants:
        return constants[name]
    if name.startswith(("set:", "unit:")) or name == "ldots":
        raise Unreadable(name)
    return sympy.Symbol(name, real=True)


def _bound(sympy: Any, node: Bound) -> Expression:
    inside = node.body
    if node.variable in CONSTANTS:  # as in a sum over i
        inside = substitute(inside, node.variable, Symbol("index"))
        node = replace(node, variable="index")
    letter = sympy.Symbol(node.variable, real=True)
    body = _to_sympy(sympy, inside)
    low, high = (_to_sympy(sympy, n) for n in (node.low, node.high))
    if node.name == "lim":
        sides = {1: "+", -1: "-"}.get(int(high), "+-")
        found = sympy.limit(body, letter, low, sides if low not in (sympy.oo, -sympy.oo) else "+")
    elif node.name == "diff":
        found = sympy.diff(body, letter, int(high))
    elif node.name == "antiderivative":
        found = sympy.integrate(body, letter) + sympy.Symbol("C", real=True)
    elif node.name == "int":
        found = sympy.integrate(body, (letter, low, high), conds="none")
    else:
        kinds = {"sum": sympy.summation, "prod": sympy.product}
        index = sympy.Symbol(node.variable, integer=True)
        found = kinds[node.name](body.subs(letter, index), (index, low, high))
    open_ones = (sympy.Integral, sympy.Sum, sympy.Product, sympy.Limit, sympy.Derivative)
    if found.has(*open_ones):
        raise Unreadable("sympy leaves it as it is")
    if found.has(sympy.nan, sympy.zoo):
        raise Undefined("no value")
    return found


# From sympy to our tree

_BACK = {
    **{name: name for name in _SAME_NAME},
    **{theirs: ours for ours, theirs in _RENAMED.items() if ours != "ln"},
}
_BACK["log"] = "ln"


def _to_node(sympy: Any, found: Expression) -> Node:
    if getattr(found, "is_Matrix", False):
        rows = found.tolist()
        return Matrix(tuple(tuple(_to_node(sympy, e) for e in row) for row in rows))
    if found.is_Rational:
        return Number(Fraction(int(found.p), int(found.q)))
    if found.is_Symbol:
        return Symbol(found.name)
    for constant, name in ((sympy.pi, "pi"), (sympy.E, "e"), (sympy.I, "i")):
        if found == constant:
            return Symbol(name)
    if found == sympy.oo:
        return Symbol("infinity")
    if found == -sympy.oo:
        return Apply("neg", (Symbol("infinity"),))
    if found.has(sympy.nan, sympy.zoo):
        raise Undefined("no value")
    if found.is_Pow:
        return Apply("^", (_to_node(sympy, found.base), _to_node(sympy, found.exp)))
    if found.is_Add or found.is_Mul:
        sign = "+" if found.is_Add else "*"
        parts = [_to_node(sympy, part) for part in found.args]
        return functools.reduce(lambda a, b: Apply(sign, (a, b)), parts)
    name = type(found).__name__
    arguments = tuple(_to_node(sympy, part) for part in found.args)
    if name.startswith("unknown:"):
        return Apply(name, arguments)
    if name not in _BACK:
        raise Unreadable(f"sympy's {name}")
    return Apply(_BACK[name], arguments)


def numerator(node: Node) -> Node | None:
    """Return the numerator of a rational function in lowest terms, or None."""
    if literal_digits(node) > MOST_DIGITS:
        return None
    sympy = _sympy()

    def reduce() -> Node:
        return _to_node(sympy, sympy.fraction(sympy.cancel(_to_sympy(sympy, node)))[0])

    found: Node | None = _asked(reduce)
    return found
