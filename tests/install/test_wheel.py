"""What is installed: one top-level package, with its data, that lives beside anybody else's."""

import re
import zipfile

import pytest

from rlenv.common.version import DISTRIBUTION, __version__
from tests.conftest import ROOT
from tests.install.conftest import build

# the top-level packages of nemo-gym 0.4, and two more generic ones
GENERIC = (
    "benchmarks",
    "environments",
    "nemo_gym",
    "resources_servers",
    "responses_api_agents",
    "responses_api_models",
    "sandbox",
    "trainers",
)
LOOK = """
import json, pathlib, sys
import rlenv
assert pathlib.Path(rlenv.__file__).is_relative_to(sys.prefix), rlenv.__file__
env = rlenv.make("rlenv/Code-v0")
_, info = env.reset(seed=0)
reward = env.step(env.demonstrate(env.task, info["messages"]))[1]
print(json.dumps({"ids": rlenv.registered(), "reward": reward}))
"""


@pytest.fixture(scope="module")
def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_it_has_one_top_level_package(names, wheel):
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"rlenv"}


def test_every_file_of_the_package_is_in_it(names):
    ours = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "rlenv").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if name.startswith("rlenv/")} == ours
    for suffix in (".py", ".css", ".yaml", ".txt", ".txt.gz", "py.typed", "NOTICE"):
        assert any(name.endswith(suffix) for name in ours), suffix


def test_it_has_its_own_name_and_little_to_depend_on(metadata):
    assert metadata["Name"] == DISTRIBUTION
    assert metadata["Version"] == __version__
    required = metadata.get_all("Requires-Dist")
    plain = {re.match(r"[\w-]+", one)[0].lower() for one in required if "extra ==" not in one}
    assert plain == {
        *("gymnasium", "numpy", "pydantic", "pyyaml", "rich", "sympy", "httpx"),
        *("mpmath", "bm25s"),  # numbers of any precision, and the search of SearchQA
    }


def project(folder, name, packages):
    """Write a distribution of these packages; each breaks whoever takes it for his own."""
    for package in packages:
        (folder / package).mkdir(parents=True)
        (folder / package / "__init__.py").write_text(f"WHOSE = {name!r}\n")
    listed = ", ".join(f'"{package}"' for package in packages)
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        f'[project]\nname = "{name}"\nversion = "1.0"\n'
        f"[tool.setuptools]\npackages = [{listed}]\n"
    )
    return folder


@pytest.mark.parametrize("theirs_first", [True, False], ids=["before", "after"])
def test_beside_a_distribution_with_generic_names(wheel, installation, tmp_path, theirs_first):
    import json

    theirs = build(project(tmp_path / "theirs", "generic-names", GENERIC), tmp_path / "built")
    for one in (theirs, wheel) if theirs_first else (wheel, theirs):
        installation.install(one)
    (tmp_path / "empty").mkdir()
    seen = json.loads(installation.run("-c", LOOK, cwd=tmp_path / "empty"))
    import rlenv

    bundled = [i for i in rlenv.registered() if i.startswith("rlenv/")]
    assert [i for i in seen["ids"] if i.startswith("rlenv/")] == bundled
    assert len(bundled) > 100
    assert seen["reward"] == 1.0
    said = installation.run("-c", "import trainers; print(trainers.WHOSE)", cwd=tmp_path / "empty")
    assert said.strip() == "generic-names"
