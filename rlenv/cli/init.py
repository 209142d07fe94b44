"""`rlenv init NAME`: an installable package that holds an environment, its tests and a run."""

from __future__ import annotations

import argparse
import json
import keyword
import random
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from string import Template

from rlenv.cli.options import CommandParser
from rlenv.common.errors import UserError, main_guard
from rlenv.common.version import DISTRIBUTION

# template -> where it goes, with $module filled in
FILES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "train.yaml": "train.yaml",
    "__init__.py": "$module/__init__.py",
    "environment.py": "$module/environment.py",
    "test_environment.py": "tests/test_environment.py",
}
_WORDS = 800


def parser() -> CommandParser:
    """Return the command line's parser."""
    made = CommandParser(
        prog="rlenv init",
        description="Write a package with an environment to start from.",
        renamed={"--into": "--output"},
    )
    made.add_argument("name", help="of the package, such as my-env; also the new folder's name")
    made.add_argument(
        "--output", default=".", metavar="FOLDER", help="where its folder is made (default: here)"
    )
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run `rlenv init`; returns its exit code."""
    arguments = parser().parse_args(argv)
    return main_guard(lambda: _init(arguments))


def _init(arguments: argparse.Namespace) -> None:
    folder = create(arguments.name, Path(arguments.output))
    from rlenv.common.display import Display

    Display().say(
        f"{folder} is ready:\n\n  cd {folder}\n  python -m pytest\n"
        "  python -m rlenv.train train.yaml"
    )


def create(name: str, into: Path) -> Path:
    """Write the package and return its folder.

    Args:
        name: letters, digits, `-` and `_`, beginning with a letter.
        into: the folder to make it in.

    Raises:
        UserError: the name can't be a package's, or the folder exists.
    """
    module = name.replace("-", "_").lower()
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name) or keyword.iskeyword(module):
        raise UserError(
            f"{name!r} can't be a package's name; use letters, digits, - and _, a letter first"
        )
    folder = into / name
    if folder.exists():
        raise UserError(f"{folder} exists already; give another name")
    if not into.is_dir():
        raise UserError(f"{into} does not exist")
    title = "".join(part.capitalize() for part in module.split("_"))
    filled = {"name": name, "module": module, "title": title, "distribution": DISTRIBUTION}
    templates = resources.files("rlenv.cli").joinpath("templates")
    for template, place in FILES.items():
        text = templates.joinpath(f"{template}.txt").read_text(encoding="utf-8")
        path = folder / Template(place).substitute(filled)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template(text).substitute(filled), encoding="utf-8")
    (folder / module / "tasks.jsonl").write_text(sample_rows(), encoding="utf-8")
    return folder


def sample_rows() -> str:
    """Return the rows that a new package begins with, as JSON lines."""
    rng = random.Random(0)
    words = sorted({"".join(rng.choices("abcdefgh", k=rng.randint(3, 5))) for _ in range(_WORDS)})
    rows = [{"prompt": f"Write {word} in capitals.", "answer": word.upper()} for word in words]
    return "".join(json.dumps(row) + "\n" for row in rows)
