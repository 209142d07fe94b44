"""Small faults that a program can be given by rule: what they are, and where one fits.

A fault is a change of the text of one syntax node. Names, messages, annotations, assertions made
for the type checker, and what is only said to people are left alone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARISONS: dict[type[ast.cmpop], tuple[str, ...]] = {
    ast.Lt: ("<=", ">="),
    ast.LtE: ("<", ">"),
    ast.Gt: (">=", "<="),
    ast.GtE: (">", "<"),
    ast.Eq: ("!=",),
    ast.NotEq: ("==",),
    ast.Is: ("is not",),
    ast.IsNot: ("is",),
    ast.In: ("not in",),
    ast.NotIn: ("in",),
}
_ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "/",
    ast.Div: "*",
    ast.FloorDiv: "*",
    ast.Mod: "*",
    ast.Pow: "*",
    ast.BitAnd: "|",
    ast.BitOr: "&",
}
_COUNTERPARTS = {
    "min": "max",
    "max": "min",
    "minimum": "maximum",
    "maximum": "minimum",
    "amin": "amax",
    "amax": "amin",
    "any": "all",
    "all": "any",
}
_DROPPED = {"clamp", "abs", "sqrt", "exp", "nan_to_num", "mean", "detach", "masked_fill"}
_SAID = {"say", "warning", "debug", "info"}  # methods that only tell people something


@dataclass(frozen=True)
class Fault:
    """One change of a source text.

    Attributes:
        function: qualified name of the function or class it lies in, empty at the module's level.
        start: the line that function begins at, decorators included; 0 outside of functions.
        line: where the change is.
        change: what is changed into what, in words of Python.
        source: the whole text afterwards.
    """

    function: str
    start: int
    line: int
    change: str
    source: str


def faults(source: str) -> list[Fault]:
    """Return all faults that a module's text can be given."""
    return list(_Finder(source).found())


class _Finder:
    def __init__(self, source: str) -> None:
        self.source = source.encode()
        lines = self.source.splitlines(keepends=True)
        self.offsets = [0]
        for line in lines:
            self.offsets.append(self.offsets[-1] + len(line))
        self.tree = ast.parse(source)

    def found(self) -> Iterator[Fault]:
        seen: dict[tuple[str, str], int] = {}
        for node, replacement, function, start in self._changes(self.tree, "", 0):
            old = self._text(node)
            shown = f"{_short(old)} -> {_short(replacement)}"
            count = seen[function, shown] = seen.get((function, shown), 0) + 1
            change = shown if count == 1 else f"{shown} ({count})"
            first, last = self._span(node)
            text = self.source[:first] + replacement.encode() + self.source[last:]
            changed = text.decode()
            ast.parse(changed)
            yield Fault(function, start, node.lineno, change, changed)

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return (
            self.offsets[node.lineno - 1] + node.col_offset,
            self.offsets[node.end_lineno - 1] + node.end_col_offset,
        )

    def _text(self, node: ast.expr | ast.stmt) -> str:
        first, last = self._span(node)
        return self.source[first:last].decode()

    def _changes(
        self, node: ast.AST, function: str, start: int
    ) -> Iterator[tuple[ast.expr | ast.stmt, str, str, int]]:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            function = f"{function}.{node.name}".lstrip(".")
            if not isinstance(node, ast.ClassDef):
                start = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            for statement in node.body:
                yield from self._changes(statement, function, start)
            return
        if isinstance(node, (ast.Assert, ast.Raise, ast.JoinedStr, ast.Import, ast.ImportFrom)):
            if isinstance(node, ast.Raise):
                yield node, "pass", function, start
            return
        if _tells(node):
            return
        if isinstance(node, ast.AnnAssign):
            if node.value is not None and start:
                yield from self._changes(node.value, function, start)
            return
        if isinstance(node, (ast.If, ast.While, ast.IfExp)) and not isinstance(
            node.test, (ast.Compare, ast.BoolOp, ast.UnaryOp)
        ):
            yield node.test, f"(not ({self._text(node.test)}))", function, start
        if isinstance(node, ast.keyword) and node.arg == "strict":
            return  # of zip: how a mistake would be found, not what is done
        for replacement in self._of(node, inside=start > 0):
            assert isinstance(node, ast.expr | ast.stmt)
            yield node, replacement, function, start
        for child in ast.iter_child_nodes(node):
            yield from self._changes(child, function, start)

    def _of(self, node: ast.AST, *, inside: bool) -> Iterator[str]:
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            left, right = self._text(node.left), self._text(node.comparators[0])
            for sign in _COMPARISONS[type(node.ops[0])]:
                yield f"({left} {sign} {right})"
        elif isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            left, right = self._text(node.left), self._text(node.right)
            if inside and not _is_text(node.left):
                if not isinstance(node.left, ast.List) and not isinstance(node.right, ast.List):
                    yield f"(({left}) {_ARITHMETIC[type(node.op)]} ({right}))"
                if not isinstance(node.op, (ast.FloorDiv, ast.Mod)):
                    yield f"({left})"
        elif isinstance(node, ast.BoolOp):
            parts = [f"({self._text(value)})" for value in node.values]
            yield (" or " if isinstance(node.op, ast.And) else " and ").join(parts)
            yield parts[0]
            yield parts[-1]
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not)):
            if inside:
                yield f"({self._text(node.operand)})"
        elif isinstance(node, ast.IfExp):
            yield self._text(node.body)
            yield self._text(node.orelse)
        elif isinstance(node, ast.Constant) and inside:
            yield from _of_constant(node.value)
        elif isinstance(node, ast.Call) and inside:
            yield from self._of_call(node)
        if isinstance(node, (ast.AugAssign, ast.Continue, ast.Break)) or _acts(node):
            yield "pass"

    def _of_call(self, node: ast.Call) -> Iterator[str]:
        called = node.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        text = self._text(node)
        if name in _COUNTERPARTS:
            head = self._text(called)
            yield head[: len(head) - len(name)] + _COUNTERPARTS[name] + text[len(head) :]
        if name in _DROPPED and isinstance(called, ast.Attribute):
            owner = self._text(called.value)
            if owner != "torch":
                yield owner
        if name == "where" and len(node.args) == 3:
            yield f"({self._text(node.args[1])})"


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _of_constant(value: object) -> Iterator[str]:
    if isinstance(value, bool):
        yield str(not value)
    elif isinstance(value, (int, float)):
        yield repr(value + 1)


def _acts(node: ast.AST) -> bool:
    """Whether a statement is there for what it does: a call, or setting an attribute or an item."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Call)
    return isinstance(node, ast.Assign) and isinstance(
        node.targets[0], (ast.Attribute, ast.Subscript)
    )


def _tells(node: ast.AST) -> bool:
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        return False
    called = node.value.func
    return isinstance(called, ast.Attribute) and called.attr in _SAID


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 90 else f"{flat[:60]} ... {flat[-25:]}"
