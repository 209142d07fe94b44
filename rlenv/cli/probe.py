"""Does a model earn its rewards for the right reason? `rlenv probe MODEL ENV`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rlenv.cli.options import (
    CommandParser,
    add_compute,
    add_env,
    add_json,
    add_sampling,
    add_seed,
    add_show,
    add_split,
)
from rlenv.cli.values import at_least
from rlenv.common.errors import RunFailed, main_guard
from rlenv.common.terminal import say_json
from rlenv.common.verdicts import shorten

if TYPE_CHECKING:
    from rlenv.common.display import Display
    from rlenv.evaluation.probing import Probe


def parser() -> CommandParser:
    """Return the command line's parser."""
    made = CommandParser(
        prog="rlenv probe",
        description="Evaluate a model, then judge what it solved again in ways that the reward "
        "does not use, and list what scores well for the wrong reason.",
    )
    made.add_argument("model", help="as for rlenv eval")
    add_env(made)
    add_split(made, "test")
    made.add_argument("--tasks", type=int, default=200, help="(default: 200)")
    made.add_argument("--samples", type=int, default=2, help="a task (default: 2)")
    add_sampling(made, temperature=1.0, max_tokens=256)
    add_seed(made, of="of tasks and sampling")
    made.add_argument(
        "--stricter",
        action="append",
        default=[],
        metavar="key=value",
        help="an option that makes the verifier stricter, such as a rubric; may be repeated",
    )
    made.add_argument("--output", metavar="FOLDER", help="where the evaluation is kept")
    add_compute(made)
    add_show(made, "suspects")
    add_json(made, ", with all suspects")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run `rlenv probe MODEL ENV`; returns its exit code."""
    arguments = parser().parse_args(argv)
    return main_guard(lambda: _probe(arguments))


def _probe(arguments: argparse.Namespace) -> None:
    at_least(1, threads=arguments.threads)
    at_least(0, show=arguments.show)
    from rlenv.common.display import Display
    from rlenv.core import registry
    from rlenv.evaluation.folder import read_evaluation
    from rlenv.evaluation.model_under_test import check_name, load_model
    from rlenv.evaluation.plan import evaluate_plan, folders
    from rlenv.evaluation.probing import probe
    from rlenv.evaluation.suite import make_plan
    from rlenv.run.config import read_options

    options = read_options(arguments.option)
    names = ("split", "tasks", "samples", "temperature", "max_tokens", "seed")
    plan = make_plan(
        {
            "env": {"id": arguments.env, **options},
            "greedy": False,
            **{name: getattr(arguments, name) for name in names},
        },
        "the command line",
    )
    check_name(arguments.model)
    env = plan.make_env()
    stricter = None
    if arguments.stricter:
        stricter_options = {**options, **read_options(arguments.stricter)}
        stricter = registry.make(arguments.env, split=arguments.split, **stricter_options)
    model = load_model(arguments.model, device=arguments.device, threads=arguments.threads)
    display = Display(quiet=arguments.json)
    (folder,) = folders([plan], [plan.record(model.record, env)], arguments.output)
    result = evaluate_plan(plan, model, folder, display)
    if result["invalid"]:
        raise RunFailed(f"the result is invalid: {result['invalid']}")
    _, samples = read_evaluation(Path(result["folder"]))
    found = probe(env, env.tasks.distinct(plan.tasks), samples, stricter=stricter, seed=plan.seed)
    if arguments.json:
        say_json({**asdict(found), "folder": result["folder"]}, ensure_ascii=True)
    _show(found, display, arguments.show)


def _show(found: Probe, display: Display, most: int) -> None:
    display.say(f"\n{found.solved} of {found.samples} samples are right, by the reward.")
    rows = [["pass@1 by the reward", str(found.pass_at_1)]]
    rows += [["pass@1 without suspects", str(found.honest)]]
    rows += [[f"fail: {name}", str(estimate)] for name, estimate in found.failed.items()]
    display.table(["", "95% interval"], rows)
    display.say(f"\n{len(found.suspects)} suspects")
    suspects = [
        [s.check, shorten(s.prompt, 40), shorten(s.reply, 40), s.why] for s in found.suspects[:most]
    ]
    if suspects:
        display.table(["check", "prompt", "reply", "why"], suspects)
