"""The wheel, and environments of their own that it is installed into."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGED = ("rlenv", "pyproject.toml", "README.md", "LICENSE")


def build(source: Path, into: Path) -> Path:
    """Build the wheel of a project and return its path; nothing is downloaded."""
    quiet = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *quiet, "-w", into, source], check=True, timeout=300
    )
    (made,) = into.glob("*.whl")
    return made


class Installation:
    """A virtual environment that has this one's packages, but not its rlenv."""

    def __init__(self, folder: Path) -> None:
        subprocess.run(
            [sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=120
        )
        self.python = folder / "bin" / "python"
        (self.site,) = folder.glob("lib/python*/site-packages")
        # a path in a .pth file comes after the environment's own packages
        (self.site / "outer.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def install(self, wheel: Path) -> None:
        """Install a wheel, without what it depends on."""
        pip = [sys.executable, "-m", "pip", "--python", self.python, "install", "--quiet"]
        subprocess.run([*pip, "--no-deps", "--no-index", wheel], check=True, timeout=300)

    def run(self, *words: str, cwd: Path) -> str:
        """Run Python with these words and return what it prints."""
        environment = {name: v for name, v in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            [self.python, *words],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The wheel of this repository, built from a copy so that nothing is left in it."""
    source = tmp_path_factory.mktemp("source")
    for name in PACKAGED:
        if (ROOT / name).is_dir():
            unwanted = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, source / name, ignore=unwanted)
        else:
            shutil.copy(ROOT / name, source / name)
    return build(source, tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def installation(tmp_path):
    """An environment to install into."""
    return Installation(tmp_path / "venv")


@pytest.fixture(scope="session")
def metadata(wheel):
    """The metadata that pip reads."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return message_from_bytes(archive.read(name))
