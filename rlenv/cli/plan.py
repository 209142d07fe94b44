"""What a compute budget is best spent on: `rlenv plan`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from rlenv.cli.options import CommandParser, add_json
from rlenv.cli.values import at_least
from rlenv.common.errors import main_guard


def parser() -> CommandParser:
    """Return the command line's parser."""
    made = CommandParser(
        prog="rlenv plan",
        description="Say how large a model, on how many tokens, a compute budget is best spent "
        "by the Chinchilla scaling law, and how long that takes on this machine; it is measured.",
    )
    budget = made.add_mutually_exclusive_group(required=True)
    budget.add_argument("--flops", type=_positive, help="the budget, such as 1e15")
    budget.add_argument("--hours", type=_positive, help="the time to train on this machine")
    made.add_argument(
        "--law",
        choices=["epoch", "hoffmann"],
        default="epoch",
        help="whose fit of the law: Epoch AI's of 2024, or that of the paper of 2022",
    )
    made.add_argument("--vocabulary", type=int, default=4096, help="tokens of the tokenizer")
    made.add_argument("--length", type=int, default=256, help="tokens a row")
    made.add_argument("--rows", type=int, default=16, help="rows in a forward pass")
    made.add_argument("--bf16", action="store_true", help="matrix products in bfloat16")
    made.add_argument("--threads", type=int, default=1, help="CPU threads for torch (default: 1)")
    made.add_argument("--device", default="auto", help="cpu, cuda or auto (default)")
    add_json(made)
    return made


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not more than 0")
    return number


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    arguments = parser().parse_args(argv)
    return main_guard(lambda: _plan(arguments))


def _plan(arguments: argparse.Namespace) -> None:
    sizes = {name: getattr(arguments, name) for name in ("length", "rows", "threads", "vocabulary")}
    at_least(1, **sizes)
    import torch

    from rlenv.common.display import Display
    from rlenv.models import checkpoint
    from rlenv.trainers.pretraining.planning import make_plan
    from rlenv.trainers.pretraining.scaling import LAWS
    from rlenv.trainers.pretraining.throughput import Setting

    torch.set_num_threads(arguments.threads)
    setting = Setting(
        vocabulary=arguments.vocabulary,
        length=arguments.length,
        rows=arguments.rows,
        device=checkpoint.pick_device(arguments.device),
        bf16=arguments.bf16,
    )
    law = LAWS[arguments.law]
    plan = make_plan(law, setting, flops=arguments.flops, hours=arguments.hours)
    display = Display()
    if arguments.json:
        display.say(json.dumps({**asdict(plan), "law": law.source}))
        return
    rows = [
        ("law", law.source),
        ("budget", f"{plan.flops:.3g} FLOP"),
        (
            "optimum",
            f"{_short(plan.optimum.parameters)} parameters, {_short(plan.optimum.tokens)} tokens, "
            f"{plan.optimum.ratio:.1f} tokens per parameter",
        ),
        (
            "model",
            f"{plan.preset + ': ' if plan.preset else ''}{plan.shape}; {_short(plan.parameters)} "
            f"parameters with {setting.vocabulary:,} tokens",
        ),
        (
            "machine",
            f"{plan.flops_per_second / 6 / plan.parameters:,.0f} tokens/s, "
            f"{plan.flops_per_second / 1e9:,.0f} GFLOP/s, {plan.flops_per_second / plan.peak:.0%} "
            f"of the {plan.peak / 1e9:,.0f} of matrix products alone",
        ),
        ("time", _time(plan.hours)),
    ]
    display.table(["", ""], rows)
    display.say("\nin a run's configuration:\n")
    display.say(f"  pretrain: {{flops: {plan.flops:.3g}, law: {arguments.law}, corpus: [...]}}")


def _short(number: float) -> str:
    for unit, name in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= unit:
            return f"{number / unit:.3g}{name}"
    return f"{number:.0f}"


def _time(hours: float) -> str:
    if hours < 1:
        return f"{60 * hours:.0f} minutes"
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:,.0f} days"


if __name__ == "__main__":
    sys.exit(main())
