"""Carry out the run that a YAML file describes.

python -m rlenv.train configs/quickstart.yaml seed=1 run_dir=runs/second
python -m rlenv.train --resume runs/second
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rlenv.cli.options import CommandParser
from rlenv.common.errors import UserError, main_guard


def parser() -> CommandParser:
    """Return the command line's parser."""
    made = CommandParser(
        prog="python -m rlenv.train",
        description="Carry out the stages of a run, in order, and evaluate its checkpoints on "
        "held-out tasks. The same command again goes on where it stopped.",
    )
    made.add_argument("config", nargs="?", help="a YAML file, such as configs/quickstart.yaml")
    made.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help="replace a setting, such as seed=1, run_dir=runs/b or grpo.steps=50",
    )
    made.add_argument("--resume", metavar="RUN", help="go on with the run in this folder")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    arguments = parser().parse_args(argv)
    return main_guard(lambda: _train(arguments))


def _train(arguments: argparse.Namespace) -> None:
    from rlenv.run import config

    if (arguments.config is None) == (arguments.resume is None):
        raise UserError("give either a config, such as configs/quickstart.yaml, or --resume RUN")
    if arguments.resume is not None:
        if arguments.overrides:
            raise UserError("--resume goes on with a run as it is; leave out the key=value words")
        folder = Path(arguments.resume)
        path = folder / "config.yaml"
        if not path.is_file():
            raise UserError(f"{folder} holds no run: there is no config.yaml in it")
        settings = config.read(path).model_copy(update={"run_dir": str(folder)})
    else:
        path = Path(arguments.config)
        if (path / "config.yaml").is_file():
            raise UserError(f"{path} is the folder of a run; go on with it by: --resume {path}")
        settings = config.read(path, arguments.overrides, _settings_of)

    from rlenv.common.display import Display
    from rlenv.run.distributed import is_main
    from rlenv.runner import runner
    from rlenv.trainers import stage_class

    display = Display(quiet=not is_main())
    display.say(f"rlenv train  {path}  ->  {settings.run_dir}\n")
    planned = runner.check(settings, str(path), stage_class)
    runner.run(settings, planned, display)


def _settings_of(stage: str) -> list[str]:
    from rlenv.trainers import stage_class

    return list(stage_class(stage).Settings.model_fields)


if __name__ == "__main__":
    sys.exit(main())
