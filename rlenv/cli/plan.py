"""What a compute budget is best spent on: `rlenv plan`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rlenv.common.errors import main_guard


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    made = argparse.ArgumentParser(
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
    made.add_argument("--threads", type=int, default=1, help="threads to compute with")
    made.add_argument("--device", default="auto", help="torch device")
    made.add_argument("--json", action="store_true", help="print JSON, which suits a pipe")
    return made


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not more than 0")
    return number


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    arguments = parser().parse_args(argv)
    return main_guard(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> None:
    from rlenv.trainers.pretraining import planning  # late: it imports torch

    planning.main(arguments)


if __name__ == "__main__":
    import sys

    sys.exit(main())
