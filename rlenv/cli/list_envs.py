"""Which environments there are: `rlenv list`."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Sequence

from rlenv.cli.options import CommandParser, add_json
from rlenv.common.errors import UserError, main_guard
from rlenv.common.terminal import say_json
from rlenv.core import registry


def parser() -> CommandParser:
    """Return the command line's parser."""
    made = CommandParser(prog="rlenv list", description="List the environments.")
    made.add_argument("filter", nargs="?", default="", help="only ids that contain this")
    add_json(made)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run `rlenv list`; returns its exit code."""
    arguments = parser().parse_args(argv)
    return main_guard(lambda: _list(arguments))


def _list(arguments: argparse.Namespace) -> None:
    from rlenv.common.display import Display

    ids = [i for i in registry.registered() if arguments.filter.lower() in i.lower()]
    rows = [{"id": i, "what": first_line(registry.spec(i))} for i in ids]
    if arguments.json:
        say_json(rows)
        return
    if not rows:
        raise UserError(f"no environment's id contains {arguments.filter!r}; see rlenv list")
    Display().table(["environment", ""], [[row["id"], row["what"]] for row in rows])


def first_line(spec: registry.EnvSpec) -> str:
    """Return the first line of an environment's docstring, or why it can't be loaded."""
    try:
        text = inspect.getdoc(spec.load()) or ""
    except ImportError as error:
        return f"(not installed: {error})"
    return text.splitlines()[0] if text else ""
