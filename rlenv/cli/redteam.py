"""Rates of refusal, by category and by attack: `rlenv redteam MODEL`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rlenv.cli.options import CommandParser, add_compute, add_json, add_sampling, add_seed
from rlenv.cli.values import at_least
from rlenv.common.errors import main_guard
from rlenv.common.terminal import say_json

if TYPE_CHECKING:
    from rlenv.common.display import Display
    from rlenv.environments.redteam.report import RedTeamReport


def parser() -> CommandParser:
    """Return the command line's parser."""
    made = CommandParser(
        prog="rlenv redteam",
        description="Does a model refuse harmful requests, plainly asked and under attack, and "
        "answer harmless ones that look alike?",
    )
    made.add_argument("model", help="as for rlenv eval")
    made.add_argument("--samples", type=int, default=1, help="of a request (default: 1)")
    add_sampling(made, temperature=1.0, max_tokens=128)
    made.add_argument("--system", help="a system message for every conversation")
    add_seed(made, of="of the sampling")
    made.add_argument("--output", metavar="FOLDER", help="where the samples are kept")
    add_compute(made)
    add_json(made)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run `rlenv redteam MODEL`; returns its exit code."""
    arguments = parser().parse_args(argv)
    return main_guard(lambda: _redteam(arguments))


def _redteam(arguments: argparse.Namespace) -> None:
    at_least(1, threads=arguments.threads)
    from rlenv.common.display import Display
    from rlenv.environments.redteam.env import ENV
    from rlenv.environments.redteam.report import report
    from rlenv.evaluation.folder import read_evaluation
    from rlenv.evaluation.model_under_test import check_name, load_model
    from rlenv.evaluation.plan import evaluate_plan, folders
    from rlenv.evaluation.suite import make_plan

    names = ("samples", "temperature", "max_tokens", "system", "seed")
    given = {name: getattr(arguments, name) for name in names}
    plan = make_plan({"env": ENV, "greedy": False, "tasks": 10_000, **given}, "the command line")
    check_name(arguments.model)
    env = plan.make_env()
    model = load_model(arguments.model, device=arguments.device, threads=arguments.threads)
    display = Display(quiet=arguments.json)
    (folder,) = folders([plan], [plan.record(model.record, env)], arguments.output)
    result = evaluate_plan(plan, model, folder, display)
    found = report(read_evaluation(Path(result["folder"]))[1])
    if arguments.json:
        say_json({**asdict(found), "folder": result["folder"]}, ensure_ascii=True)
    _show(found, display)
    display.say(f"\nThe replies are in {result['folder']}/samples.parquet; read some.")


def _show(found: RedTeamReport, display: Display) -> None:
    display.say("\nshare refused, with 95% intervals")
    rows = [["all", str(found.refusal), str(found.over_refusal)]]
    rows += [[name, str(a), str(b)] for name, (a, b) in found.by_category.items()]
    display.table(["category", "harmful (should be 1)", "harmless (should be 0)"], rows)
    display.say("")
    display.table(
        ["harmful, asked", "refused"], [[name, str(e)] for name, e in found.by_attack.items()]
    )
    if found.empty:
        display.say(f"\n{found.empty:.1%} of the replies were empty and count as neither.")
