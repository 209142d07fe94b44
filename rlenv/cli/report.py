"""A page on one evaluation, or on several: `rlenv report FOLDER...`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rlenv.cli.options import CommandParser
from rlenv.common.errors import main_guard


def parser() -> CommandParser:
    """Return the command line's parser."""
    made = CommandParser(
        prog="rlenv report",
        description="Write an HTML report of one evaluation, or of several on the same tasks.",
    )
    made.add_argument("folder", nargs="+", help="folders of evaluations")
    made.add_argument("--output", metavar="FILE", help="(default: report.html in the first folder)")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run `rlenv report FOLDER...`; returns its exit code."""
    arguments = parser().parse_args(argv)
    return main_guard(lambda: _report(arguments))


def _report(arguments: argparse.Namespace) -> None:
    from rlenv.common.display import Display
    from rlenv.reports.evaluation_report import write_evaluation_report

    out = Path(arguments.output or Path(arguments.folder[0]) / "report.html")
    Display().say(str(write_evaluation_report(list(map(Path, arguments.folder)), out)))
