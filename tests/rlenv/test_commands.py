"""Every command of `rlenv`: it is there, and its help is quick."""

import json
import subprocess
import sys
from importlib import import_module

import pytest

from rlenv.cli import main
from rlenv.common.version import __version__

HEAVY = ("torch", "transformers", "datasets", "matplotlib")

# asks each command for help in one process, and reports what it printed and what it loaded
PROBE = """
import contextlib, io, json, sys
from rlenv.cli.main import COMMANDS, main
found = {}
assert not set(sys.argv[1:]) & set(sys.modules)
for name in COMMANDS:
    said, before = io.StringIO(), set(sys.modules)
    with contextlib.redirect_stdout(said):
        try:
            code = main([name, "--help"])
        except SystemExit as left:
            code = left.code
    loaded = [m for m in sys.argv[1:] if m in sys.modules and m not in before]
    found[name] = {"code": code, "said": said.getvalue(), "loaded": loaded}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def helped():
    ran = subprocess.run(
        [sys.executable, "-c", PROBE, *HEAVY], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.parametrize("name", main.COMMANDS)
def test_a_command_lives_in_cli_and_has_a_main(name):
    module, what = main.COMMANDS[name]
    assert module.startswith("rlenv.cli.")
    assert callable(import_module(module).main)
    assert what
    assert not what.endswith(".")


@pytest.mark.parametrize("name", main.COMMANDS)
def test_help_exits_0_and_loads_nothing_heavy(name, helped):
    found = helped[name]
    assert found["code"] in (0, None)
    assert found["said"].startswith("usage: ")
    assert found["loaded"] == []


def test_no_command_is_parsed_below_cli():
    from pathlib import Path

    import rlenv

    root = Path(rlenv.__file__).parent
    alone = root / "sandbox" / "image.py"  # builds an image without the rest of the package
    parse = [
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if path != alone and "import argparse" in path.read_text(encoding="utf-8")
    ]
    assert parse
    assert all(path.startswith("cli/") for path in parse), parse


def test_the_version(capsys):
    assert main.main(["--version"]) == 0
    assert capsys.readouterr().out == f"rlenv {__version__}\n"


def test_an_unknown_command_is_answered_by_the_nearest(capsys):
    assert main.main(["evla"]) == 2
    assert "Did you mean eval?" in capsys.readouterr().err


def test_train_is_the_same_from_both_doors(monkeypatch):
    import rlenv.eval
    import rlenv.train
    from rlenv.cli import eval as evaluating
    from rlenv.cli import train

    for door, command in ((rlenv.train, train), (rlenv.eval, evaluating)):
        with monkeypatch.context() as patched:
            patched.setattr(command, "main", lambda: 7)
            assert door.main() == 7
    for command in ("train", "eval"):
        ran = subprocess.run(
            [sys.executable, "-m", f"rlenv.{command}"], capture_output=True, text=True, check=False
        )
        assert ran.returncode == 2
        assert "Traceback" not in ran.stderr
