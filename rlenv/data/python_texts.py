"""English that comes with every Python: its help topics, and what its library says of itself."""

from __future__ import annotations

import ast
import functools
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

from rlenv.common.errors import UserError

_LEFT_OUT = {"test", "tests", "idlelib", "lib2to3", "site-packages", "turtledemo", "pydoc_data"}
_SHORTEST = 200  # characters; below it a docstring is a note to programmers


def python_topics() -> list[dict[str, str]]:
    """Return the texts of Python's `help()` on topics, one a row.

    Raises:
        UserError: this Python comes without them.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise UserError(
            "this Python comes without pydoc_data (a package named like libpython3-stdlib holds "
            "it); install that, or give a text file as the corpus"
        ) from None
    return [{"text": topics[name]} for name in sorted(topics)]


def python_docs() -> list[dict[str, str]]:
    """Return the longer docstrings of Python's standard library, one a row.

    The files are read and parsed, and never imported.
    """
    return [{"text": text} for text in _docstrings()]


@functools.lru_cache(maxsize=1)
def _docstrings() -> tuple[str, ...]:
    root = Path(sysconfig.get_path("stdlib"))
    files = sorted(
        path
        for path in root.rglob("*.py")
        if not _LEFT_OUT.intersection(path.relative_to(root).parts)
    )
    found: dict[str, None] = {}  # in order, each once
    for path in files:
        for text in _of_file(path):
            if len(text) >= _SHORTEST:
                found.setdefault(text)
    return tuple(found)


def _of_file(path: Path) -> Iterator[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError):  # a file for another Python
        return
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = ast.get_docstring(node)
            if text:
                yield text
