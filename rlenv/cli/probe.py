"""Does a model earn its rewards for the right reason? `rlenv probe MODEL ENV`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rlenv.common.errors import RunFailed, main_guard
from rlenv.common.verdicts import shorten

if TYPE_CHECKING:
    from rlenv.common.display import Display
    from rlenv.evaluation.probing import Probe


def main(argv: Sequence[str] | None = None) -> int:
    """Run `rlenv probe MODEL ENV`; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="rlenv probe",
        description="Evaluate a model, then judge what it solved again in ways that the reward "
        "does not use, and list what scores well for the wrong reason.",
    )
    parser.add_argument("model", help="as for rlenv eval")
    parser.add_argument("env", help="an environment id, or file.py:Id")
    parser.add_argument("--split", default="test", help="(default: test)")
    parser.add_argument("--tasks", type=int, default=200, help="(default: 200)")
    parser.add_argument("--samples", type=int, default=2, help="a task (default: 2)")
    parser.add_argument("--temperature", type=float, default=1.0, help="(default: 1.0)")
    parser.add_argument("--max-tokens", type=int, default=256, help="(default: 256)")
    parser.add_argument("--seed", type=int, default=0, help="(default: 0)")
    parser.add_argument("--option", action="append", default=[], metavar="key=value")
    parser.add_argument(
        "--stricter",
        action="append",
        default=[],
        metavar="key=value",
        help="an option that makes the verifier stricter, such as a rubric; may be repeated",
    )
    parser.add_argument("--output", metavar="FOLDER", help="where the evaluation is kept")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--show", type=int, default=10, help="samples shown (default: 10)")
    parser.add_argument("--json", action="store_true", help="print as JSON, with all samples found")
    arguments = parser.parse_args(argv)
    return main_guard(lambda: _probe(arguments))


def _probe(arguments: argparse.Namespace) -> None:
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
        print(json.dumps({**asdict(found), "folder": result["folder"]}))  # noqa: T201
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
