"""Which faults are tried, from `faults.yaml` and by rule, and which are known to change nothing."""

from __future__ import annotations

import ast
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .operators import faults

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


class Misplaced(Exception):
    """What the data file speaks of is not in the code any more."""


@dataclass(frozen=True)
class Mutant:
    """One fault in one file.

    Attributes:
        label: names it, whatever its line.
        path: of the file.
        function: the qualified name of the function that is changed.
        line: where it is.
        source: the file's whole text with it.
    """

    label: str
    path: Path
    function: str
    line: int
    source: str


class Plan:
    """The data file, checked against the code.

    Attributes:
        tests: files of tests that are to find the faults.
        files: what is changed by rule.
        named: the faults that the data file names.
        ruled: all others, in an order that is random and always the same.
        equivalent: labels of faults that change nothing that matters -> why.
    """

    def __init__(self, path: Path = HERE / "faults.yaml") -> None:
        told: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        self.tests = _matching(told["tests"])
        self.files = _matching(told["files"])
        self.named = [_named(**entry) for entry in told["named"]]
        found = [m for file in self.files for m in _by_rule(file)]
        self.ruled = sorted(found, key=lambda m: hashlib.sha256(m.label.encode()).digest())
        self.equivalent: dict[str, str] = told["equivalent"] or {}
        gone = self.equivalent.keys() - {m.label for m in self.ruled}
        if gone:
            raise Misplaced(f"listed as equivalent, but no fault of the code: {sorted(gone)}")

    @property
    def traced(self) -> list[Path]:
        """Every file that a fault lies in."""
        return sorted({*self.files, *(m.path for m in self.named)})


def _matching(patterns: list[str]) -> list[Path]:
    found = []
    for pattern in patterns:
        files = sorted(ROOT.glob(pattern))
        if not files:
            raise Misplaced(f"no file is {pattern}")
        found += [file for file in files if file not in found]
    return found


def _by_rule(path: Path) -> list[Mutant]:
    where = ".".join(path.relative_to(ROOT / "rlenv").with_suffix("").parts)
    return [
        Mutant(f"{where}:{f.function}: {f.change}", path, f.function, f.line, f.source)
        for f in faults(path.read_text(encoding="utf-8"))
        if f.start  # only what functions do is changed
    ]


def _named(name: str, folder: str, function: str, find: str, replace: str) -> Mutant:
    """Find a named fault's place: the only function of that name in a folder's files."""
    places = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        for node, qualified in _functions(ast.parse(source), ""):
            if qualified == function:
                places.append((path, source, node))
    if len(places) != 1:
        raise Misplaced(f"{name!r}: {len(places)} functions under {folder} are called {function}")
    ((path, source, node),) = places
    lines = source.splitlines(keepends=True)
    start = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    body = "".join(lines[start - 1 : node.end_lineno])
    if body.count(find) != 1:
        raise Misplaced(f"{name!r}: {function} in {path} holds {body.count(find)} times {find!r}")
    changed = body.replace(find, replace)
    text = "".join(lines[: start - 1]) + changed + "".join(lines[node.end_lineno :])
    ast.parse(text)
    line = start + body[: body.index(find)].count("\n")
    return Mutant(name, path, function, line, text)


def _functions(node: ast.AST, prefix: str) -> list[tuple[Any, str]]:
    found = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
            qualified = f"{prefix}{child.name}"
            if isinstance(child, ast.FunctionDef):
                found.append((child, qualified))
            found += _functions(child, f"{qualified}.")
    return found
