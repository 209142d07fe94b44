"""What a checkpoint thinks comes next: `rlenv next "The capital of" --model CHECKPOINT`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict

from rlenv.cli.options import CommandParser, add_compute, add_json, compute_with
from rlenv.common.errors import UserError, main_guard
from rlenv.common.terminal import say_json
from rlenv.evaluation.next_token import Prediction, predict


def parser() -> CommandParser:
    """Return the command line's parser."""
    made = CommandParser(
        prog="rlenv next", description="Show which tokens a checkpoint thinks come next."
    )
    made.add_argument("text", help="what comes before; \\n is a line break")
    made.add_argument("--model", required=True, metavar="CHECKPOINT", help="a folder or a hub id")
    made.add_argument("--top", type=int, default=10, help="show so many tokens (default: 10)")
    made.add_argument(
        "--chat", action="store_true", help="the text is a question; show how a reply begins"
    )
    made.add_argument(
        "--no-begin", action="store_true", help="put no begin-of-text token before the text"
    )
    add_compute(made)
    add_json(made)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run `rlenv next`; returns its exit code."""
    arguments = parser().parse_args(argv)
    return main_guard(lambda: _next(arguments))


def _next(arguments: argparse.Namespace) -> None:
    if arguments.top < 1:
        raise UserError("--top is at least 1")
    from rlenv.models.checkpoint_folder import local_checkpoint

    local_checkpoint(arguments.model, needs_chat=arguments.chat)
    from rlenv.common.display import quieten_transformers
    from rlenv.models import checkpoint
    from rlenv.models.chat_format import ChatFormat

    quieten_transformers()
    compute_with(arguments.threads)
    model, tokenizer = checkpoint.load(arguments.model, device=arguments.device)
    text = arguments.text.replace("\\n", "\n")
    if arguments.chat:
        chat = ChatFormat(tokenizer, arguments.model)
        ids = chat.prompt([{"role": "user", "content": text}])
    else:
        ids = checkpoint.begin(tokenizer, text, mark=not arguments.no_begin)
    if not ids:
        raise UserError("there is no text to go on from, and the tokenizer has no begin token")
    room = checkpoint.context_length(model, tokenizer)
    if len(ids) > room:
        raise UserError(f"the text has {len(ids)} tokens, but the model reads at most {room}")
    found = predict(model, tokenizer, ids, top=arguments.top)
    if arguments.json:
        say_json({"text": text, **asdict(found)})
    else:
        _show(found)


def _show(found: Prediction) -> None:
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    from rlenv.common.console import Console

    console = Console()
    console.print(Text("|".join(_visible(token) for token in found.tokens), style="bold"))
    table = Table.grid(padding=(0, 2))
    most = found.next[0].probability
    for token in found.next:
        bar = ProgressBar(total=most, completed=token.probability, width=40)
        table.add_row(Text(_visible(token.text)), bar, f"{token.probability:6.1%}")
    if found.others:
        others = f"{found.others:,} others"
        bar = ProgressBar(total=max(most, found.rest), completed=found.rest, width=40)
        table.add_row(Text(others, style="dim"), bar, f"{found.rest:6.1%}")
    console.print(table)
    console.print(Text(f"entropy {found.entropy:.2f} bits", style="dim"))


def _visible(text: str) -> str:
    """Return a token so that white space in it can be seen."""
    for mark, shown in ((" ", "␣"), ("\n", "⏎"), ("\t", "⇥")):
        text = text.replace(mark, shown)
    return text if text.isprintable() and text else repr(text)
