"""Bits per byte of checkpoints beside simple baselines: `rlenv bits CHECKPOINT --text FILE`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rlenv.cli.options import CommandParser, add_compute, add_json, compute_with
from rlenv.common.errors import UserError, main_guard
from rlenv.common.terminal import say_json
from rlenv.data.byte_ngrams import LONGEST
from rlenv.evaluation.bits_per_byte import baselines, model_bits, read_texts
from rlenv.models.checkpoint_folder import local_checkpoint


def parser() -> CommandParser:
    """Return the command line's parser."""
    made = CommandParser(
        prog="rlenv bits",
        description="Measure how many bits checkpoints take for a byte of text that they were not "
        "trained on, beside n-grams and gzip where the training text is given.",
    )
    made.add_argument("checkpoints", nargs="*", metavar="CHECKPOINT", help="folders or hub ids")
    made.add_argument("--text", required=True, metavar="FILE", help="held-out text; see --train")
    made.add_argument(
        "--train",
        metavar="FILE",
        help="what the checkpoints were trained on: a text file, or rows with a column `text`",
    )
    made.add_argument("--orders", default="1,5", help="of the n-grams (default: 1,5)")
    add_compute(made)
    add_json(made)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run `rlenv bits`; returns its exit code."""
    arguments = parser().parse_args(argv)
    return main_guard(lambda: _bits(arguments))


def _bits(arguments: argparse.Namespace) -> None:
    orders = _orders(arguments.orders)
    texts = read_texts(Path(arguments.text))
    if not arguments.checkpoints and arguments.train is None:
        raise UserError("there is nothing to measure; name a checkpoint, or a text with --train")
    for source in arguments.checkpoints:
        local_checkpoint(source, needs_chat=False)
    found: dict[str, float] = {}
    if arguments.train is not None:
        found |= baselines(read_texts(Path(arguments.train)), texts, orders)
    from rlenv.common.display import Display, quieten_transformers
    from rlenv.models import checkpoint

    quieten_transformers()
    compute_with(arguments.threads)
    for source in arguments.checkpoints:
        model, tokenizer = checkpoint.load(source, device=arguments.device)
        found[source] = model_bits(model, tokenizer, texts)
    size = sum(len(text.encode()) for text in texts)
    if arguments.json:
        figures = {"bytes": size, "documents": len(texts), "bits_per_byte": found}
        say_json(figures)
        return
    display = Display()
    display.say(f"{arguments.text}: {len(texts):,} documents, {size:,} bytes\n")
    display.table(["", "bits per byte"], [[name, f"{value:.3f}"] for name, value in found.items()])


def _orders(text: str) -> list[int]:
    try:
        orders = [int(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"--orders {text}: give numbers, such as 1,5") from None
    if not all(1 <= order <= LONGEST for order in orders):
        raise UserError(f"--orders {text}: an order is 1 to {LONGEST}")
    return orders
