"""The `rlenv` command: `rlenv train ...`, `rlenv eval ...`, `rlenv check ...`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rlenv.errors import did_you_mean

COMMANDS = {
    "train": ("rlenv.train", "carry out the run that a YAML file describes"),
    "eval": ("rlenv.eval", "evaluate a checkpoint on held-out tasks"),
    "check": ("rlenv.check", "check whether an environment can be trusted"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `rlenv COMMAND ...`; returns its exit code."""
    import importlib

    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print("usage: rlenv COMMAND ...\n")  # noqa: T201
        for name, (_, what) in COMMANDS.items():
            print(f"  {name:<8} {what}")  # noqa: T201
        print("\nrlenv COMMAND --help says more.")  # noqa: T201
        return 0
    if words[0] not in COMMANDS:
        print(  # noqa: T201
            f"error: there is no command {words[0]!r}; there are {', '.join(COMMANDS)}."
            f"{did_you_mean(words[0], COMMANDS)}",
            file=sys.stderr,
        )
        return 2
    return importlib.import_module(COMMANDS[words[0]][0]).main(words[1:])
