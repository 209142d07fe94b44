"""Check whether an environment can be trusted.

rlenv check rlenv/Arithmetic-v0
rlenv check reverse.py:demo/Reverse-v0
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from rlenv.cli.options import CommandParser, add_env, add_json, add_seed
from rlenv.common.errors import UserError, main_guard
from rlenv.common.terminal import say_json

if TYPE_CHECKING:
    from rlenv.conformance import CheckOutcome


def parser() -> CommandParser:
    """Return the command line's parser."""
    made = CommandParser(
        prog="rlenv check",
        description="Check an environment: determinism, splits, gold and worthless replies, known "
        "gaming attempts, isolation, speed. Exits with 1 if a check fails.",
    )
    add_env(made)
    made.add_argument("--tasks", type=int, default=200, help="tasks to play (default: 200)")
    made.add_argument(
        "--draws", type=int, default=1_000_000, help="tasks drawn to compare splits (default: 10^6)"
    )
    made.add_argument(
        "--seconds", type=float, default=60.0, help="time box of a single check (default: 60)"
    )
    add_seed(made, of="of what is drawn")
    made.add_argument(
        "--skip", action="append", default=[], metavar="CHECK", help="leave out; may be repeated"
    )
    add_json(made)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    arguments = parser().parse_args(argv)
    return main_guard(lambda: _check(arguments))


def _check(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from rich.text import Text

    from rlenv.common.console import Console
    from rlenv.conformance import CheckSettings, run
    from rlenv.core import registry
    from rlenv.run.config import read_options

    for name in ("tasks", "draws"):
        if getattr(arguments, name) < 1:
            raise UserError(f"--{name} is at least 1")
    if arguments.seconds <= 0:
        raise UserError("--seconds is above 0")
    if not 0 <= arguments.seed < 2**31:
        raise UserError("--seed is from 0 to 2147483647")
    options = read_options(arguments.option)
    registry.spec(arguments.env).make(**options).tasks.sample(Random(arguments.seed))
    settings = CheckSettings(
        tasks=arguments.tasks,
        draws=arguments.draws,
        seconds=arguments.seconds,
        seed=arguments.seed,
    )
    console = Console(soft_wrap=False, stderr=arguments.json)
    with console.status("") as status:
        outcomes = run(
            arguments.env,
            options,
            settings,
            skip=arguments.skip,
            progress=lambda name: status.update(Text(f"checking {name} ...")),
        )
    failed = sum(outcome.status == "fail" for outcome in outcomes)
    if arguments.json:
        checks = [asdict(outcome) for outcome in outcomes]
        whole = {"env": arguments.env, "options": options, "failed": failed, "checks": checks}
        say_json(whole, ensure_ascii=True)
    else:
        _show(console, arguments.env, outcomes, failed)
    return 1 if failed else 0


def _show(console: Any, env: str, outcomes: Sequence[CheckOutcome], failed: int) -> None:
    from rich.table import Table
    from rich.text import Text

    looks = {"ok": ("ok", "green"), "fail": ("FAIL", "bold red"), "skipped": ("skipped", "yellow")}
    console.print(Text(f"rlenv check {env}\n"))
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for outcome in outcomes:
        word, style = looks[outcome.status]
        detail = Text(outcome.detail)
        if outcome.fix:
            detail.append(f"\nfix: {outcome.fix}", style="cyan")
        table.add_row(Text(f"  {outcome.check}"), Text(word, style=style), detail)
    console.print(table)
    skipped = sum(outcome.status == "skipped" for outcome in outcomes)
    ran = len(outcomes) - skipped
    left_out = f", {skipped} skipped" if skipped else ""
    verdict = f"{failed} of {ran} checks failed" if failed else f"all {ran} checks passed"
    console.print(Text(f"\n{verdict}{left_out}", style="bold red" if failed else "bold green"))


if __name__ == "__main__":
    sys.exit(main())
