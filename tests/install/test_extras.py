"""What needs an extra says so in one sentence that can be followed."""

import re
import sys
from importlib.metadata import packages_distributions

import pytest

from rlenv.common import extras
from rlenv.common.errors import main_guard
from rlenv.common.extras import EXTRAS, MissingExtra, explained, require
from rlenv.common.version import DISTRIBUTION
from rlenv.core.rows import load_rows
from tests.conftest import ROOT

TEXTS = [
    path
    for folder in ("rlenv", "docs", "benchmarks", "configs", ".ci")
    for path in (ROOT / folder).rglob("*")
    if path.is_file() and path.suffix in (".py", ".md", ".txt", ".yaml", "")
] + [ROOT / "README.md", ROOT / "pyproject.toml", ROOT / "constraints.txt"]


@pytest.fixture(scope="module")
def brought(metadata):
    """Extra to the names of the distributions it brings, other extras of ours followed."""
    required = [
        re.match(r"([\w-]+)(?:\[([\w,-]+)\])?.*extra == .([\w-]+).$", one).groups()
        for one in metadata.get_all("Requires-Dist")
        if "extra ==" in one
    ]

    def brings(extra):
        for name, inner, of in required:
            if of == extra and name == DISTRIBUTION:
                for other in inner.split(","):
                    yield from brings(other)
            elif of == extra:
                yield name.lower().replace("_", "-")

    return {extra: set(brings(extra)) for extra in metadata.get_all("Provides-Extra")}


def test_each_package_comes_with_the_extra_that_is_named(brought):
    named = packages_distributions()
    for module, extra in EXTRAS.items():
        known = {name.lower().replace("_", "-") for name in named.get(module, [])}
        wanted = known or {module.replace("_", "-")}
        assert wanted & brought[extra], f"{module} is not brought by the extra {extra}"


def test_those_who_work_on_rlenv_get_all_of_it(brought):
    served = "vllm"  # takes a GPU
    assert set().union(*(brought[e] for e in brought if e != served)) == brought["dev"]


def test_the_extras_that_texts_name_exist(brought):
    for path in TEXTS:
        for listed in re.findall(rf"{DISTRIBUTION}\[([^\]]+)\]", path.read_text(encoding="utf-8")):
            for extra in re.findall(r"[\w-]+", listed):
                assert extra in brought or extra == "extra", f"{path} names the extra {extra}"


def test_nobody_is_told_to_install_what_is_called_like_the_import():
    told = re.compile(
        r"pip3? install [^\n&|;`]*?(?<![\w/.-])rlenv(?![\w/-])"  # a command in a text
        r"|dependencies = \[\"rlenv"  # a package that says what it depends on
    )
    assert told.search("pip install -U 'rlenv[train]'")
    for path in TEXTS:
        assert not told.search(path.read_text(encoding="utf-8")), path


@pytest.fixture
def without(monkeypatch):
    """Make packages look as if they were not installed."""

    def remove(*names):
        for name in names:
            for loaded in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
                monkeypatch.delitem(sys.modules, loaded)
            monkeypatch.setitem(sys.modules, name, None)

    return remove


def test_the_sentence(without):
    without("peft")
    with pytest.raises(MissingExtra) as caught:
        require("peft", "lora", otherwise="leave lora out")
    assert str(caught.value) == (
        "lora needs the package peft, which is not installed; install it with: "
        f"pip install '{DISTRIBUTION}[lora]', or leave lora out"
    )
    assert isinstance(caught.value, ImportError)
    require("pytest", "this test")


def test_a_folder_of_the_same_name_is_no_package(without, tmp_path, monkeypatch):
    (tmp_path / "wandb").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    assert not extras.installed("wandb")


def test_a_command_ends_in_the_sentence_and_not_in_a_traceback(without, capsys):
    without("datasets")

    def command():
        import datasets  # noqa: F401

    assert main_guard(command) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: this command needs the package datasets")
    assert said.rstrip().endswith(f"pip install '{DISTRIBUTION}[train]'")


def test_other_failed_imports_stay_what_they_are():
    with pytest.raises(ModuleNotFoundError, match="not_there"), explained("this"):
        import not_there  # noqa: F401
    # of an installed package, a part that is missing is a fault to be seen
    with pytest.raises(ModuleNotFoundError, match=r"datasets\.not_there"), explained("this"):
        import datasets.not_there  # noqa: F401


def test_rows_of_files_need_no_extra(without, tmp_path):
    without("datasets", "pyarrow")
    (tmp_path / "a.jsonl").write_text('{"x": "1"}\n')
    (tmp_path / "a.json").write_text('[{"x": "1"}]')
    (tmp_path / "a.csv").write_text("x\n1\n")
    for name in ("a.jsonl", "a.json", "a.csv"):
        assert load_rows(tmp_path / name) == [{"x": "1"}]
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(MissingExtra, match=r"a\.parquet needs the package pyarrow.*\[train\]"):
        load_rows(tmp_path / "a.parquet")
    with pytest.raises(MissingExtra, match=r"data set 'a/b' needs the package datasets"):
        load_rows("a/b")
