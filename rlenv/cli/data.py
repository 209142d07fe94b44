"""Cleaning training text, and looking into it: `rlenv data run` and `rlenv data inspect`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rlenv.common.errors import main_guard


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    made = argparse.ArgumentParser(
        prog="rlenv data", description="Clean training text, and look into it."
    )
    commands = made.add_subparsers(dest="command", required=True, metavar="run|inspect")
    run = commands.add_parser(
        "run",
        help="carry out the text pipeline that a YAML file describes",
        description="Carry out the steps of a text pipeline. The same command again goes on where "
        "it stopped.",
    )
    run.add_argument("config", help="a YAML file, such as configs/text.yaml")
    run.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help="replace a setting, such as processes=1 or steps.minhash.bands=20",
    )
    inspect = commands.add_parser(
        "inspect",
        help="show samples, lengths, languages, duplicates, and what each rule would drop",
        description="Show what a corpus holds, and what each rule alone would drop of it.",
    )
    inspect.add_argument("path", help="a file, a folder, or the id of a data set")
    inspect.add_argument("--config", help="take the steps and their settings from this YAML file")
    inspect.add_argument("--text", default="text", metavar="COLUMN", help="the column of the text")
    inspect.add_argument("--cut", type=int, metavar="N", help="cut texts into so many characters")
    inspect.add_argument("--limit", type=int, default=10_000, help="look at so many documents")
    inspect.add_argument("--samples", type=int, default=3, help="show so many documents")
    inspect.add_argument("--seed", type=int, default=0, help="decides which are shown")
    inspect.add_argument("--json", action="store_true", help="print JSON, which suits a pipe")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    arguments = parser().parse_args(argv)
    return main_guard(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> None:
    from rlenv.data.pipeline import commands  # late, so that --help is fast

    commands.main(arguments)


if __name__ == "__main__":
    import sys

    sys.exit(main())
