"""What the commands' parsers share."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from rlenv.common.errors import did_you_mean


class Parser(argparse.ArgumentParser):
    """A command's parser, which answers a mistake with one sentence in place of all its options."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the command line, and exit with code 2."""
        unknown = message.removeprefix("unrecognized arguments: ")
        hint = ""
        if unknown != message:
            options = [name for action in self._actions for name in action.option_strings]
            hint = did_you_mean(unknown.split()[0], options)
        print(f"error: {message}.{hint} {self.prog} --help says more", file=sys.stderr)  # noqa: T201
        raise SystemExit(2)
