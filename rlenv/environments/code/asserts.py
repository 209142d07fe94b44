"""From the text of a test to calls that run beside the candidate and checks that do not.

    assert candidate([1, 2]) == 3        ->  call  f([1, 2])      check  value == 3
    assert sorted(f("ba")) == ["a", "b"] ->  call  sorted(f("ba"))  check  value == ["a", "b"]
    assert abs(f(2.5) - 0.5) < 1e-6      ->  call  f(2.5)         check  abs(value - 0.5) < 1e-6
    with pytest.raises(ValueError): f(0) ->  call  f(0)           raises ValueError

Only the call is sent to the candidate. What can't be split so, loops and asserts over variables
for example, is left over for the trusted checker.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache

from rlenv.environments.code import checks

CANDIDATE = "candidate"
# one-argument builtins around the call tell nothing of what is expected, so they may run beside
# the candidate; there they can also be given what is no plain data, such as a generator
_WRAPPERS = {"dict", "frozenset", "int", "len", "list", "set", "sorted", "str", "sum", "tuple"}


@dataclass(frozen=True)
class Expectation:
    """A call, and what must come of it.

    Attributes:
        call: an expression that is worked out beside the candidate.
        check: an expression over `value` that must be true of what the call returns.
        raises: exceptions, by name, one of which the call must raise instead.
        source: the test as it was written, for people.
    """

    call: str
    check: ast.expr | None
    raises: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True)
class Split:
    """A test program, taken apart.

    Attributes:
        expectations: what can be judged outside of every sandbox.
        rest: a program with the other tests, or an empty string.
    """

    expectations: tuple[Expectation, ...]
    rest: str


@lru_cache(maxsize=16384)
def split(program: str, entry_point: str) -> Split:
    """Take a test program apart.

    Args:
        program: statements that call the entry point; or, as HumanEval has them, a function
            `check(candidate)`.
        entry_point: the function under test.

    Raises:
        SyntaxError: the program is no Python.
    """
    module = ast.parse(program)
    function = next(
        (s for s in module.body if isinstance(s, ast.FunctionDef) and s.name == "check"), None
    )
    body = module.body if function is None else function.body
    bound = frozenset(_bound(module, entry_point)) - {"check"}
    found: list[Expectation] = []
    left: list[ast.stmt] = []
    for statement in body:
        if _says_nothing(statement):
            continue
        expectation = convert(statement, entry_point, bound)
        if expectation is None:
            left.append(statement)
        else:
            found.append(expectation)
    if not any(_tests(statement) for statement in left):
        return Split(tuple(found), "")
    if function is None:
        module.body = left
    else:
        function.body = left
        module.body.append(ast.parse(f"check({entry_point})").body[0])
    return Split(tuple(found), ast.unparse(module))


def convert(
    statement: ast.stmt, entry_point: str, bound: frozenset[str] = frozenset()
) -> Expectation | None:
    """Turn a statement into an expectation, or return None where that can't be done.

    Args:
        statement: of a test program.
        entry_point: the function under test.
        bound: names that only the test program knows.
    """
    statement = _Renamed(entry_point).visit(deepcopy(statement))
    match statement:
        case ast.Assert(test=test):
            call, check = _taken_apart(test, entry_point)
            raises: tuple[str, ...] = ()
        case ast.With(items=[ast.withitem(context_expr=ast.Call() as manager)], body=[only]):
            call, check = _lone_call(only, entry_point), None
            named = manager.args[:1] if _is_raises(manager.func) else []
            raises = tuple(name for item in named for name in _exceptions(item))
            if not raises:
                return None
        case ast.Try(body=[first, *others], handlers=[handler], orelse=orelse, finalbody=[]):
            call, check = _lone_call(first, entry_point), None
            # without an `assert False` after the call, returning would be right as well
            if not _fails(others or orelse) or not all(_does_nothing(s) for s in handler.body):
                return None
            raises = tuple(_exceptions(handler.type)) if handler.type is not None else ()
            if not raises or (others and {"AssertionError", "Exception"} & {*raises}):
                return None
        case _:
            return None
    if call is None or _names(call) & bound:
        return None
    if check is not None:
        try:
            checks.require_supported(check)
        except checks.Unsupported:
            return None
    return Expectation(ast.unparse(call), check, raises, ast.unparse(statement))


class _Renamed(ast.NodeTransformer):
    """Calls the entry point by its name where the test calls it `candidate`."""

    def __init__(self, entry_point: str) -> None:
        self.entry_point = entry_point

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id != CANDIDATE:
            return node
        return ast.parse(self.entry_point, mode="eval").body


class _Replaced(ast.NodeTransformer):
    """Puts `value` in the place of the call."""

    def __init__(self, call: str) -> None:
        self.call = call

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.expr) and ast.unparse(node) == self.call:
            return ast.Name(checks.VALUE, ast.Load())
        return super().generic_visit(node)


def _taken_apart(test: ast.expr, entry_point: str) -> tuple[ast.expr | None, ast.expr | None]:
    """Split an asserted expression; several calls must be one and the same."""
    calls = list(_calls(test, entry_point))
    for reach in (_wrapped, lambda call, test: call):
        subjects = [reach(call, test) for call in calls]
        if len({ast.unparse(subject) for subject in subjects}) == 1:
            check = _Replaced(ast.unparse(subjects[0])).visit(deepcopy(test))
            if not [*_calls(check, entry_point)]:
                return subjects[0], ast.fix_missing_locations(check)
    return None, None


def _calls(tree: ast.AST, entry_point: str) -> Iterable[ast.Call]:
    """Yield the outermost calls of the entry point (`f` or `Class.method`)."""
    head, _, method = entry_point.partition(".")
    target = {entry_point, f"{head}().{method}"} if method else {entry_point}
    if isinstance(tree, ast.Call) and ast.unparse(tree.func) in target:
        yield tree
        return
    for child in ast.iter_child_nodes(tree):
        yield from _calls(child, entry_point)


def _wrapped(call: ast.expr, test: ast.expr) -> ast.expr:
    """Return the call with the one-argument builtins around it."""
    inner = ast.unparse(call)
    for node in ast.walk(test):
        match node:
            case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]):
                if name in _WRAPPERS and ast.unparse(argument) == inner:
                    return _wrapped(node, test)
    return call


def _lone_call(statement: ast.stmt, entry_point: str) -> ast.expr | None:
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Call):
        return None
    return statement.value if [*_calls(statement.value, entry_point)] else None


def _is_raises(function: ast.expr) -> bool:
    return ast.unparse(function) in ("pytest.raises", "raises", "self.assertRaises")


def _exceptions(node: ast.expr) -> list[str]:
    """Return the names of an exception or of a tuple of them."""
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    return [part.id for part in parts if isinstance(part, ast.Name)]


def _fails(statements: Sequence[ast.stmt]) -> bool:
    match statements:
        case [ast.Assert(test=ast.Constant(value=False | 0))]:
            return True
    return False


def _does_nothing(statement: ast.stmt) -> bool:
    match statement:
        case ast.Pass() | ast.Assert(test=ast.Constant(value=True)):
            return True
    return False


def _says_nothing(statement: ast.stmt) -> bool:
    """Whether a statement is a docstring, a lone name or `assert True`."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, (ast.Constant, ast.Name)):
        return True
    return _does_nothing(statement)


def _tests(statement: ast.stmt) -> bool:
    """Whether a statement could fail a test; assignments and imports only serve those."""
    return any(
        isinstance(node, (ast.Assert, ast.Raise, ast.With, ast.Try, ast.Expr))
        for node in ast.walk(statement)
    )


def _bound(module: ast.Module, entry_point: str) -> Iterable[str]:
    """Yield the names that a test program binds, the candidate's aside."""
    for node in ast.walk(module):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name) if name != CANDIDATE:
                yield name
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from ((n.asname or n.name).partition(".")[0] for n in names)


def _names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
