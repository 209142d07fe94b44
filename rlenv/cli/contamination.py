"""Which held-out tasks occur in a training text: `rlenv contamination ENV TEXT...`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rlenv.cli.options import CommandParser, add_env, add_json, add_show, add_split
from rlenv.common.errors import UserError, main_guard
from rlenv.common.terminal import say_json
from rlenv.common.verdicts import shorten
from rlenv.data.contamination import NGRAM, Contamination, find_tasks, read_texts


def parser() -> CommandParser:
    """Return the command line's parser."""
    made = CommandParser(
        prog="rlenv contamination",
        description="Which held-out tasks of an environment occur in training text: whole "
        "questions, and 13 words in a row.",
    )
    add_env(made)
    made.add_argument("texts", nargs="+", help="files or folders of training text")
    add_split(made, "test")
    made.add_argument("--tasks", type=int, default=5000, help="at most (default: 5000)")
    made.add_argument("--ngram", type=int, default=NGRAM, help=f"words (default: {NGRAM})")
    made.add_argument(
        "--evaluation", help="an evaluation's folder: pass@1 with and without the tasks found"
    )
    add_show(made, "tasks")
    add_json(made, ", with all tasks found")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run `rlenv contamination ENV TEXT...`; returns its exit code."""
    arguments = parser().parse_args(argv)
    return main_guard(lambda: _report(arguments))


def _report(arguments: argparse.Namespace) -> None:
    from rlenv.common.display import Display
    from rlenv.core import registry
    from rlenv.run.config import read_options

    if arguments.ngram < 2 or arguments.tasks < 1:
        raise UserError("--ngram is at least 2 and --tasks at least 1")
    env = registry.make(arguments.env, split=arguments.split, **read_options(arguments.option))
    tasks = env.tasks.distinct(arguments.tasks)
    found = find_tasks(env, tasks, read_texts(map(Path, arguments.texts)), arguments.ngram)
    apart = _apart(Path(arguments.evaluation), found) if arguments.evaluation else {}
    if arguments.json:
        say_json({**asdict(found), "share": found.share, "pass_at_1": apart}, ensure_ascii=True)
        return
    display = Display()
    display.say(
        f"{len(found.found)} of {found.tasks} tasks ({found.share:.1%}) of {arguments.env}, "
        f"{arguments.split} split, occur in {found.texts:,} texts."
    )
    if found.too_short:
        display.say(
            f"{found.too_short} tasks have no {arguments.ngram} words of their own and were looked "
            "for as whole questions alone."
        )
    for name, estimate in apart.items():
        display.say(f"pass@1 {name}: {estimate}")
    rows = [[f.kind, shorten(f.prompt, 60), f.source] for f in found.found[: arguments.show]]
    if rows:
        display.table(["found as", "task", "in"], rows)


def _apart(folder: Path, found: Contamination) -> dict[str, str]:
    """Return an evaluation's pass@1 on the tasks that occur, and on the others."""
    from rlenv.evaluation.folder import read_evaluation
    from rlenv.evaluation.statistics import pass_at_1
    from rlenv.evaluation.summary import by_task

    _, samples = read_evaluation(folder)
    keys = {f.task_key for f in found.found}
    judged = by_task(s for s in samples if not s.greedy and s.judged)
    estimates = {}
    for name, inside in (("of tasks that occur", True), ("of all others", False)):
        outcomes = [
            [s.solved for s in task] for key, task in judged.items() if (key in keys) == inside
        ]
        estimates[name] = str(pass_at_1(outcomes)) if outcomes else "none"
    return estimates
