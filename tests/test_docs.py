"""Every block of the documentation runs, in order, in an empty folder."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rlenv.conformance import CheckSettings, run
from tests.conftest import ROOT

BLOCK = re.compile(r"^```(python|bash)(?: file=(\S+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", ["authoring.md", "code.md", "python.md", "text.md", "trl.md"])
def test_the_page_runs(page, tmp_path):
    (tmp_path / "configs").mkdir()
    shutil.copy(ROOT / "configs/quickstart.yaml", tmp_path / "configs")
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }

    def run(*command):
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"

    session = ""
    blocks = BLOCK.findall((ROOT / "docs" / page).read_text(encoding="utf-8"))
    assert len(blocks) > 1
    for language, name, code in blocks:
        if name:
            (tmp_path / name).write_text(code)
        elif language == "python":  # the plain Python blocks share one session
            session += code
            run(sys.executable, "-c", session)
        else:
            run("bash", "-euo", "pipefail", "-c", code)


def readme_environments():
    """The environments that the README shows, as files."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.finditer(r"^@rlenv.register.*?(?=^PY$|^```$)", readme, BLOCK.flags)
    blocks = [f"import rlenv\n\n{one[0]}" for one in found]
    return {re.search(r'"demo/(\w+)-v0"', code)[1]: code for code in blocks}


@pytest.mark.parametrize("name", ["Reverse", "HigherLower"])
def test_the_environments_of_the_readme_pass_its_check(name, tmp_path):
    found = readme_environments()
    assert list(found) == ["Reverse", "HigherLower"]
    path = tmp_path / f"{name.lower()}_of_the_readme.py"
    path.write_text(found[name])
    settings = CheckSettings(tasks=15, draws=5000, seconds=20, processes=1)
    outcomes = run(f"{path}:demo/{name}-v0", settings=settings, skip=["speed"])
    assert [outcome for outcome in outcomes if outcome.status == "fail"] == []
