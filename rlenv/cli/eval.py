"""Evaluate a model on the held-out tasks of environments.

python -m rlenv.eval runs/quickstart/grpo rlenv/Arithmetic-v0 --split test
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlenv.cli.options import CommandParser, add_compute, add_env_options, add_json
from rlenv.common.errors import RunFailed, UserError, main_guard
from rlenv.common.files import check_folder
from rlenv.common.terminal import say_json

if TYPE_CHECKING:
    from rlenv.common.display import Display
    from rlenv.evaluation.plan import EvaluationPlan


def parser() -> CommandParser:
    """Return the command line's parser."""
    made = CommandParser(
        prog="python -m rlenv.eval",
        description="Evaluate a model on held-out tasks: pass@k, pass^k, majority vote and mean "
        "reward with 95% confidence intervals, and how many replies were cut off, unreadable or "
        "not judged. An interrupted evaluation goes on where it was.",
    )
    made.add_argument(
        "model",
        help="a checkpoint folder, a LoRA adapter's folder, a GGUF file, a hub id, or an endpoint: "
        "openai:NAME@URL",
    )
    made.add_argument("env", nargs="+", help="environment ids, file.py:Id, or suite files (.yaml)")
    # what is not given here is as the suite says, or else the default of `EvaluationPlan`
    plan = made.add_argument_group("what to sample")
    plan.add_argument("--split", help="validation or test (default: test)")
    plan.add_argument("--tasks", type=int, help="different tasks (default: 500)")
    plan.add_argument("--samples", type=int, help="of a task (default: 4; 1 at temperature 0)")
    plan.add_argument(
        "--temperature", type=float, help="0 for one greedy reply a task (default: 1.0)"
    )
    plan.add_argument("--top-p", type=float, help="(default: 1.0)")
    plan.add_argument("--top-k", type=int, help="0 for all (default)")
    plan.add_argument("--min-p", type=float, help="(default: 0)")
    plan.add_argument("--stop", action="append", help="a text that ends a reply; may be repeated")
    plan.add_argument("--max-tokens", type=int, help="of a reply (default: 256)")
    plan.add_argument("--system", help="a system message for every conversation")
    plan.add_argument("--dtype", help="bfloat16, or as the model's weights are (default: model)")
    plan.add_argument("--seed", type=int, help="of the sampling (default: 0)")
    plan.add_argument("--max-grader-errors", type=float, metavar="SHARE", help="(default: 0.02)")
    plan.add_argument("--no-greedy", action="store_true", help="no reply at temperature 0")
    add_env_options(plan)
    how = made.add_argument_group("how to run")
    how.add_argument("--batch", type=int, help="episodes at once (default: what suits the model)")
    add_compute(how)
    how.add_argument("--max-minutes", type=float, help="stop after so much time; goes on later")
    _add_serving(made.add_argument_group("an endpoint"))
    out = made.add_argument_group("what is left")
    add_json(out, ", one result a line")
    out.add_argument(
        "--output",
        metavar="FOLDER",
        help="where samples and results are kept (default: a folder in evaluations/)",
    )
    return made


def _add_serving(group: Any) -> None:
    group.add_argument("--concurrency", type=int, default=8, help="requests at once (default: 8)")
    group.add_argument("--per-minute", type=float, help="at most so many requests a minute")
    group.add_argument("--attempts", type=int, default=6, help="tries a request gets (default: 6)")
    group.add_argument("--timeout", type=float, default=300.0, help="seconds (default: 300)")
    group.add_argument(
        "--key",
        default="OPENAI_API_KEY",
        metavar="VARIABLE",
        help="environment variable that holds the key (default: OPENAI_API_KEY)",
    )
    group.add_argument(
        "--price",
        type=float,
        nargs=2,
        metavar=("READ", "SAMPLED"),
        help="of a million tokens read, and of a million sampled",
    )
    group.add_argument("--max-cost", type=float, help="stop at this cost, in the unit of --price")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    arguments = parser().parse_args(argv)
    return main_guard(lambda: _evaluate(arguments))


def _evaluate(arguments: argparse.Namespace) -> None:
    _check(arguments)
    plans = _plans(arguments)
    from rlenv.evaluation.model_under_test import check_name, load_model

    check_name(arguments.model)
    envs = [plan.make_env() for plan in plans]  # what is wrong there is said before models load

    from rlenv.common.display import Display
    from rlenv.evaluation.limits import EvaluationLimits
    from rlenv.evaluation.plan import evaluate_plan, folders

    server = {
        "max_concurrency": arguments.concurrency,
        "per_minute": arguments.per_minute,
        "tries": arguments.attempts,
        "timeout": arguments.timeout,
        "key_from": arguments.key,
    }
    model = load_model(
        arguments.model, device=arguments.device, threads=arguments.threads, server=server
    )
    for plan in plans:
        model.maker(plan.dtype)  # an endpoint refuses one before any is evaluated
    display = Display(quiet=arguments.json)
    limits = EvaluationLimits(arguments.max_minutes, arguments.max_cost, arguments.price)
    records = [plan.record(model.record, env) for plan, env in zip(plans, envs, strict=True)]
    invalid = []
    for plan, folder in zip(plans, folders(plans, records, arguments.output), strict=True):
        result = evaluate_plan(plan, model, folder, display, batch=arguments.batch, limits=limits)
        if arguments.json:
            say_json(result, ensure_ascii=True)
        show_result(result, display)
        if result["invalid"]:
            invalid.append(f"{result['env']}: {result['invalid']}")
    if invalid:
        raise RunFailed(f"the result is invalid: {'; '.join(invalid)}")


def _check(arguments: argparse.Namespace) -> None:
    """Check what is no setting of a plan."""
    for name in ("batch", "concurrency", "attempts"):
        given = getattr(arguments, name)
        if given is not None and given < 1:
            raise UserError(f"--{name} is at least 1")
    for name in ("per_minute", "timeout", "max_minutes", "max_cost"):
        given = getattr(arguments, name)
        if given is not None and given <= 0:
            raise UserError(f"--{name.replace('_', '-')} is above 0")
    if arguments.max_cost is not None and arguments.price is None:
        raise UserError(
            "--max-cost needs --price READ SAMPLED, the prices of a million tokens of each"
        )
    if arguments.threads is not None and arguments.threads < 1:
        raise UserError("--threads is at least 1")
    if arguments.price is not None and not all(price >= 0 for price in arguments.price):
        raise UserError("--price takes two prices that are not below 0")
    if arguments.output is not None:
        check_folder(Path(arguments.output), "--output")


def _plans(arguments: argparse.Namespace) -> list[EvaluationPlan]:
    """Return what to evaluate, checked."""
    from rlenv.core.task import check_split
    from rlenv.evaluation.plan import EvaluationPlan
    from rlenv.evaluation.suite import is_suite, make_plan, read_suite
    from rlenv.run.config import read_options

    if arguments.split is not None:
        check_split(arguments.split)
    options = read_options(arguments.option)
    given = {
        name: value
        for name in EvaluationPlan.model_fields
        if (value := getattr(arguments, name, None)) is not None and name != "env"
    }
    if arguments.no_greedy:
        given["greedy"] = False
    plans: list[EvaluationPlan] = []
    for name in arguments.env:
        if not is_suite(name):
            plans.append(make_plan({"env": {"id": name, **options}, **given}, "the command line"))
        elif options:
            raise UserError(f"--option is not for suites; write the options into {name}")
        else:
            plans += read_suite(Path(name), given)
    return plans


def show_result(result: Mapping[str, Any], display: Display) -> None:
    """Print a result as a table."""
    greedy = " beside a greedy one" if result["greedy"] is not None else ""
    samples = "1 sample" if result["samples"] == 1 else f"{result['samples']} samples"
    display.say(
        f"\n{result['model']['name']} on {result['env']}, {result['split']} split, "
        f"{result['tasks']} tasks x {samples} at temperature "
        f"{result['temperature']:g}{greedy}"
    )
    rows = []
    for name, estimate in result["estimates"].items():
        interval = "95% interval unknown: one task"
        if estimate["low"] is not None:
            interval = f"95% interval {estimate['low']:.3f} to {estimate['high']:.3f}"
        rows.append([name, f"{estimate['value']:.3f}   {interval}"])
    speed = result["tokens"] / result["seconds"] if result["seconds"] else 0.0
    rows += [
        ["cut off", f"{result['truncated']:.1%}"],
        ["no answer found", f"{result['unparseable']:.1%}"],
        ["timed out", f"{result['timeout']:.1%}"],
        ["not judged", f"{result['grader_errors']:.1%}"],
        ["tokens sampled", f"{result['tokens']:,} in {result['seconds']:.1f} s ({speed:,.0f}/s)"],
        ["task set", result["fingerprint"]],
        ["kept in", result["folder"]],
    ]
    if result["stopped"]:
        rows.append(["incomplete", result["stopped"]])
    if result["invalid"]:
        rows.append(["INVALID", result["invalid"]])
    display.table(["", ""], rows)


if __name__ == "__main__":
    sys.exit(main())
