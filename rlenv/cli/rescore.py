"""Grading the samples of an evaluation again, without generating: `rlenv rescore FOLDER`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlenv.cli.options import CommandParser, add_json, add_show
from rlenv.common.errors import main_guard
from rlenv.common.terminal import say_json
from rlenv.common.verdicts import shorten

if TYPE_CHECKING:
    from rlenv.evaluation.samples import Sample


def parser() -> CommandParser:
    """Return the command line's parser."""
    made = CommandParser(
        prog="rlenv rescore",
        description="Grade the samples of an evaluation again, with the environment as it is now. "
        "The old result stays as it is.",
    )
    made.add_argument("folder", help="an evaluation's folder")
    made.add_argument(
        "--output", metavar="FOLDER", help="where to keep the new one (default: FOLDER-rescored)"
    )
    add_show(made, "changed verdicts")
    add_json(made)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run `rlenv rescore FOLDER`; returns its exit code."""
    arguments = parser().parse_args(argv)
    return main_guard(lambda: _rescore(arguments))


def _rescore(arguments: argparse.Namespace) -> None:
    from rlenv.cli.eval import show_result
    from rlenv.common.display import Display
    from rlenv.evaluation.folder import read_evaluation
    from rlenv.evaluation.rescoring import rescore
    from rlenv.evaluation.samples import scored_sample

    source = Path(arguments.folder)
    out = Path(arguments.output or f"{source.resolve()}-rescored")
    before, old = read_evaluation(source)
    result, evaluation = rescore(source, out)
    display = Display(quiet=arguments.json)
    if arguments.json:
        say_json(result)
    show_result(result, display)
    changed = [
        (a, b) for a, b in zip(old, evaluation.kept, strict=True) if _verdict(a) != _verdict(b)
    ]
    was = before["pass_at_1"]
    display.say(
        f"\n{len(changed)} of {len(old)} verdicts changed; pass@1 was "
        f"{'unknown' if was is None else format(was, '.3f')}"
    )
    rows = [
        [
            shorten(a.prompt, 40),
            shorten(a.reply, 40),
            scored_sample(a, before),
            scored_sample(b, result),
            shorten(b.detail, 60),
        ]
        for a, b in changed[: arguments.show]
    ]
    if rows:
        display.table(["prompt", "reply", "before", "now", ""], rows)


def _verdict(sample: Sample) -> tuple[Any, ...]:
    return (sample.status, sample.value if sample.judged else None, sample.components)
