"""What is said of the project in several places agrees: rooms, floors, Python versions, hooks."""

import re
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def section(heading):
    return re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)[1]


def floors_of_the_readme():
    """The rooms on each floor, the highest first."""
    lines = re.findall(r"^\| \d+ \|.*", section("What is here"), re.MULTILINE)
    numbers = [int(line.split("|")[1]) for line in lines]
    assert numbers == sorted(numbers, reverse=True)
    return [set(re.findall(r"`(\w+)/`", line.split("|")[2])) for line in lines]


def packages():
    return {path.parent.name for path in (ROOT / "rlenv").glob("*/__init__.py")}


def test_the_readme_shows_every_room():
    rooms = [room for floor in floors_of_the_readme() for room in floor]
    assert len(rooms) == len(set(rooms))
    assert set(rooms) == packages()


def test_the_floors_are_those_that_the_linter_keeps():
    (contract,) = (c for c in PROJECT["tool"]["importlinter"]["contracts"] if c["type"] == "layers")
    layers = [{room.strip() for room in layer.split("|")} for layer in contract["layers"]]
    rooms = [layer & packages() for layer in layers]  # modules at the root are no rooms
    assert floors_of_the_readme() == [floor for floor in rooms if floor]
    assert contract["exhaustive"]


def test_the_table_of_rooms_fits_on_a_screen():
    assert section("What is here").count("\n|") <= 15


def test_the_root_of_the_package_stays_small():
    assert len(list((ROOT / "rlenv").glob("*.py"))) <= 10


@pytest.mark.parametrize("name", ["environments", "trainers", "sandbox"])
def test_the_doors_lead_into_the_package(name):
    assert (ROOT / name).is_symlink()
    assert (ROOT / name).readlink() == Path("rlenv") / name


def test_ci_runs_on_every_python_that_is_promised():
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yaml").read_text(encoding="utf-8"))
    job = workflow["jobs"]["ci"]
    promised = [
        line.removeprefix("Programming Language :: Python :: ")
        for line in PROJECT["project"]["classifiers"]
        if re.search(r"Python :: \d\.\d+$", line)
    ]
    assert job["strategy"]["matrix"]["python"] == promised
    lowest, above = re.fullmatch(
        r">=(\d\.\d+),<(\d\.\d+)", PROJECT["project"]["requires-python"]
    ).groups()
    minor = int(promised[-1].split(".")[1])
    assert (promised[0], f"3.{minor + 1}") == (lowest, above)
    assert ".ci/run" in [step.get("run") for step in job["steps"]]
    assert job["timeout-minutes"] > 0


def test_the_hooks_run_the_linters_of_ci():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    entries = {hook["entry"].split()[0] for repo in config["repos"] for hook in repo["hooks"]}
    ran = re.search(r'step "linters and types"\n(.*)', (ROOT / ".ci/run").read_text(), re.DOTALL)[1]
    linters = {line.split()[0] for line in ran.splitlines() if line.strip()[:1].isalpha()}
    assert linters == {"ruff", "lint-imports", "mypy"}
    assert linters <= entries


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text(encoding="utf-8"))
    assert targets or page == "CHANGELOG.md"
    assert [target for target in targets if not (ROOT / target).exists()] == []
