"""What the commands share: one option for one thing, under one name everywhere."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from rlenv.cli.values import at_least
from rlenv.common.errors import did_you_mean
from rlenv.common.terminal import complain


class CommandParser(argparse.ArgumentParser):
    """A command's parser, which answers an unknown option with the nearest one there is.

    Args:
        renamed: options that once had another name: the old name to the new one.
        **kwargs: see `argparse.ArgumentParser`.
    """

    def __init__(self, *args: Any, renamed: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.renamed = dict(renamed or {})

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse a command line; a mistake in it ends the command with code 2."""
        words: Sequence[str] = sys.argv[1:] if args is None else list(args)
        self._check_options(words)
        return super().parse_args(words, namespace)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the command line in one sentence, and exit with code 2."""
        ended = message if message.endswith((".", "?")) else f"{message}."
        complain(f"error: {ended} {self.prog} --help says more")
        raise SystemExit(2)

    def options(self) -> list[str]:
        """Return the long options, those of subcommands included, in order."""
        mine = [name for action in self._actions for name in action.option_strings]
        below = [name for sub in self.subcommands().values() for name in sub.options()]
        return list(dict.fromkeys(name for name in (*mine, *below) if name.startswith("--")))

    def subcommands(self) -> dict[str, CommandParser]:
        """Return the parsers of subcommands by their names."""
        return {
            name: parser
            for action in self._actions
            if isinstance(action, argparse._SubParsersAction)
            for name, parser in action.choices.items()
        }

    def _check_options(self, words: Sequence[str]) -> None:
        known = self.options()
        for word in words:
            if word == "--":
                return
            name = word.partition("=")[0]
            # argparse takes the beginning of an option for the whole of it
            if not name.startswith("--") or any(option.startswith(name) for option in known):
                continue
            if name in self.renamed:
                self.error(f"{name} is now called {self.renamed[name]}")
            self.error(f"there is no option {name}.{did_you_mean(name, known)}")


def add_env(parser: argparse.ArgumentParser) -> None:
    """Add the environment that a command is about, and `--option`."""
    parser.add_argument("env", help="an environment id, or file.py:Id")
    add_env_options(parser)


def add_env_options(parser: Any) -> None:
    """Add `--option key=value`, an option of the environment."""
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="key=value",
        help="an option of the environment, such as level=2; may be repeated",
    )


def add_split(parser: argparse.ArgumentParser, default: str) -> None:
    """Add `--split`."""
    parser.add_argument(
        "--split",
        default=default,
        help=f"train, validation or test (default: {default})",
    )


def add_seed(parser: argparse.ArgumentParser, default: int | None = 0, of: str = "") -> None:
    """Add `--seed`.

    Args:
        parser: of the command.
        default: None where the command draws one.
        of: what it decides.
    """
    left_out = "random if left out" if default is None else f"default: {default}"
    parser.add_argument("--seed", type=int, default=default, help=f"{of} ({left_out})".strip())


def add_sampling(
    parser: argparse.ArgumentParser, *, temperature: float, max_tokens: int, of: str = "a reply"
) -> None:
    """Add `--temperature` and `--max-tokens`.

    Args:
        parser: of the command.
        temperature: by default.
        max_tokens: by default.
        of: what is sampled.
    """
    parser.add_argument(
        "--temperature",
        type=float,
        default=temperature,
        help=f"0 is greedy (default: {temperature:g})",
    )
    parser.add_argument(
        "--max-tokens", type=int, default=max_tokens, help=f"of {of} (default: {max_tokens})"
    )


def add_compute(parser: Any) -> None:
    """Add `--device` and `--threads`; `compute_with` heeds the second."""
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto (default)")
    parser.add_argument("--threads", type=int, help="CPU threads for torch (default: torch's)")


def compute_with(threads: int | None) -> None:
    """Let torch compute with so many threads; with as many as it likes where None."""
    if threads is not None:
        at_least(1, threads=threads)
        import torch

        torch.set_num_threads(threads)


def add_show(parser: argparse.ArgumentParser, what: str, default: int = 10) -> None:
    """Add `--show`, how many of something are printed."""
    parser.add_argument(
        "--show", type=int, default=default, help=f"{what} shown (default: {default})"
    )


def add_json(parser: Any, more: str = "") -> None:
    """Add `--json`."""
    parser.add_argument("--json", action="store_true", help=f"print JSON, which suits a pipe{more}")


def of_commands(commands: Mapping[str, tuple[str, str]]) -> Iterator[tuple[str, CommandParser]]:
    """Yield the parsers of commands with their names, but of those that lack an extra.

    A command that is two in one has two.
    """
    import importlib

    for name, (module, _) in commands.items():
        try:
            found = importlib.import_module(module)
        except ImportError:
            continue
        for parser in getattr(found, "parsers", lambda found=found: [found.parser()])():
            yield name, parser
