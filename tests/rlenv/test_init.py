import os
import subprocess
import sys
import textwrap

import pytest

from rlenv.cli import main
from rlenv.cli.init import create
from tests.conftest import ROOT

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def run(*command, cwd, **more):
    return subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env={**ENVIRONMENT, **more},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_its_tests_pass_at_once_and_a_policy_trains_on_it(tmp_path, capsys):
    assert main.main(["init", "my-env", "--output", str(tmp_path)]) == 0
    assert "python -m rlenv.train train.yaml" in capsys.readouterr().out
    folder = tmp_path / "my-env"
    tested = run("-m", "pytest", "-q", cwd=folder)
    assert tested.returncode == 0, tested.stdout
    assert "5 passed" in tested.stdout
    few = ["pretrain.steps=2", "sft.demonstrations=256", "grpo.steps=1", "evaluate.tasks=5"]
    trained = run("-m", "rlenv.train", "train.yaml", *few, cwd=folder)
    assert trained.returncode == 0, trained.stderr
    assert (folder / "runs/my-env/report.html").exists()


def test_an_installed_package_is_found_by_its_entry_point(tmp_path):
    """What pip leaves behind: the package on the path, and its metadata beside it."""
    create("my-env", tmp_path)
    metadata = tmp_path / "my-env" / "my_env-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-env\nVersion: 0.1.0\n")
    (metadata / "entry_points.txt").write_text("[rlenv.environments]\nmy_env = my_env\n")
    code = textwrap.dedent("""
        import rlenv, gymnasium
        env = rlenv.make("my_env/MyEnv-v0", split="test")
        print(env.reset(seed=0)[0], "my_env/MyEnv-v0" in rlenv.registered())
        print(gymnasium.make("my_env/MyEnv-v0").reset(seed=0)[0])
    """)
    path = f"{ROOT}{os.pathsep}{tmp_path / 'my-env'}"
    done = run("-c", code, cwd=tmp_path, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    assert "True" in done.stdout


def test_a_broken_package_does_not_take_the_others_along(tmp_path):
    (tmp_path / "bad_env.py").write_text("raise RuntimeError('half installed')\n")
    metadata = tmp_path / "bad_env-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: bad-env\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[rlenv.environments]\nbad_env = bad_env\n")
    code = "import rlenv; print(rlenv.registered())"
    done = run("-c", code, cwd=tmp_path, PYTHONPATH=f"{ROOT}{os.pathsep}{tmp_path}")
    assert "rlenv/Arithmetic-v0" in done.stdout
    assert "half installed" in done.stderr


@pytest.mark.parametrize("name", ["1st", "a b", "../up", "class", ""])
def test_names_that_cannot_be_a_packages(name, tmp_path, capsys):
    assert main.main(["init", name, "--output", str(tmp_path)]) == 2
    assert "can't be a package's name" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_existing_folder_is_left_alone(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    assert main.main(["init", "mine", "--output", str(tmp_path)]) == 2
    assert "exists already" in capsys.readouterr().err
