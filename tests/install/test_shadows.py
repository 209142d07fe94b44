"""Folders of generic names in the working directory, where Python looks first."""

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import MINIATURE, ROOT


@pytest.fixture
def folder(tmp_path):
    for name in ("environments", "trainers", "sandbox"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"raise RuntimeError('{name} is not yours')\n")
    return tmp_path


def run(*words, cwd):
    # the folder comes before the repository, whose links of the same names nothing imports either
    path = os.pathsep.join([str(cwd), str(ROOT)])
    done = subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_folders_are_what_python_finds(folder):
    with pytest.raises(AssertionError, match="sandbox is not yours"):
        run("-c", "import sandbox", cwd=folder)


def test_all_environments_are_listed_and_load(folder):
    listed = json.loads(run("-m", "rlenv", "list", "--json", cwd=folder))
    here = json.loads(run("-m", "rlenv", "list", "--json", cwd=ROOT / "docs"))
    assert listed == here
    assert len([row for row in listed if row["id"].startswith("rlenv/")]) > 100
    assert not [row for row in listed if "not installed" in row["what"]]


def test_programs_run_in_the_sandbox(folder):
    code = (
        "import rlenv; env = rlenv.make('rlenv/Code-v0'); _, info = env.reset(seed=0); "
        "print(env.step(env.demonstrate(env.task, info['messages']))[1])"
    )
    assert run("-c", code, cwd=folder).strip() == "1.0"


def test_a_run_trains(folder):
    (folder / "tiny.yaml").write_text(MINIATURE.format(run_dir="run"))
    few = ["grpo.steps=1", "evaluate.tasks=4"]
    assert "grpo" in run("-m", "rlenv.train", "tiny.yaml", *few, cwd=folder)
    assert (folder / "run" / "grpo" / "model.safetensors").is_file()
