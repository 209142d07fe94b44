"""What files and packages add: one registry, and a package with one thing of each kind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file

from rlenv.common import plugins
from rlenv.common.errors import UserError
from rlenv.common.plugins import Registry
from rlenv.common.settings import parse
from rlenv.core.registry import make
from rlenv.engines import factory
from rlenv.engines.settings import EngineSettings
from rlenv.run import config
from rlenv.trainers import stage_class

PLUGIN = Path(__file__).resolve().parent.parent / "plugin"
ROOT = PLUGIN.parent.parent


@pytest.fixture
def things():
    return Registry("thing", "rlenv.no_such_group", {"path": "pathlib:Path"})


def test_a_built_in_is_imported_when_it_is_asked_for(things):
    assert things.find("path") is Path
    assert things.knows("path")
    with pytest.raises(ValueError, match="rlenv has a thing 'path' itself"):
        things.register("path", object())


def test_what_is_registered_here_is_found_by_its_name(things):
    @things.register("made")
    class Made: ...

    assert things.find("made") is Made
    assert things.register("other", 5) == 5
    assert things.names() == ["path", "made", "other"]
    with pytest.raises(UserError, match=r"no thing 'mad'; there are path, made, other\. Did you m"):
        things.find("mad")


@pytest.fixture
def shared(things, monkeypatch):
    """The registry, within reach of files."""
    monkeypatch.setattr(plugins, "things", things, raising=False)
    return things


def test_a_file_is_imported_once_and_found_by_every_registry(shared, monkeypatch, tmp_path):
    others = Registry("other", "rlenv.no_such_group")
    monkeypatch.setattr(plugins, "others", others, raising=False)
    path = tmp_path / "both.py"
    path.write_text(
        "from rlenv.common import plugins\n"
        "plugins.things.register('a/first', 1)\n"
        "plugins.others.register('second', [])\n"
    )
    assert shared.find(f"{path}:a/first") == 1
    assert shared.find(f"{path}:first") == 1
    assert others.find(f"{path}:second") is others.find(f"{path}:second")
    with pytest.raises(UserError, match=r"both\.py does not register the thing 'second'; it regis"):
        shared.find(f"{path}:second")


def test_two_files_may_use_one_name(shared, tmp_path):
    for number in (1, 2):
        text = f"from rlenv.common import plugins\nplugins.things.register('same', {number})\n"
        (tmp_path / f"file{number}.py").write_text(text)
    found = [shared.find(f"{tmp_path}/file{n}.py:same") for n in (1, 2, 1)]
    assert found == [1, 2, 1]


def test_an_environment_of_a_file_has_the_same_tasks_whatever_was_imported_before(tmp_path):
    text = (
        "import rlenv\n"
        "@rlenv.register('demo/Same-v0')\n"
        "class Same(rlenv.SingleTurnEnv):\n"
        "    def generate(self, rng):\n"
        "        return rlenv.Task(str(rng.random()))\n"
    )
    sets = []
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "same_name.py"
        path.write_text(text)
        sets.append(make(f"{path}:demo/Same-v0").tasks)
    questions = [[task.question for task in tasks.distinct(5)] for tasks in sets]
    assert questions[0] == questions[1]
    assert sets[0].fingerprint == sets[1].fingerprint


def test_a_file_that_fails_says_where(shared, tmp_path):
    path = tmp_path / "failing.py"
    path.write_text("x = 1\ny = x / 0\n")
    with pytest.raises(UserError, match=r"ZeroDivisionError: .* \(failing.py, line 2\)"):
        shared.find(f"{path}:any")
    path.write_text("from rlenv.common import plugins\nplugins.things.register('any', 7)\n")
    assert shared.find(f"{path}:any") == 7, "once it is mended it can be imported"


def test_another_engine_is_known_by_its_settings():
    ref = f"{PLUGIN}/rlenv_demo/engine.py:copying"
    settings = parse(EngineSettings, {"kind": ref, "options": {"log": "x"}}, "test", "engine.")
    factory.check(settings)
    assert factory.importance_cap(settings) == 3.0
    with pytest.raises(UserError, match=r"needs engine\.options\.log"):
        factory.check(EngineSettings(kind=ref))
    for wrong, says in [
        ({"kind": "nativ"}, "engine.kind: there is no such engine.*did you mean native"),
        ({"kind": "native", "options": {"a": 1}}, "options are read by engines from elsewhere"),
        ({"kind": ref, "dtype": "bfloat16"}, "dtype is read by the native engine"),
    ]:
        with pytest.raises(UserError, match=says):
            parse(EngineSettings, wrong, "test", "engine.")


def test_a_stage_from_a_file_is_called_by_its_short_name(tmp_path):
    ref = f"{PLUGIN}/rlenv_demo/stage.py:sharpen"
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump({"run_dir": "x", "stages": {ref: {"factor": 3.0}}}))
    read = config.read(path, ["sharpen.factor=4"])
    assert read.stages == {ref: {"factor": 4}}
    assert stage_class(ref).__name__ == "Sharpen"
    with pytest.raises(UserError, match="Did you mean pretrain"):
        stage_class("pretran")


def files(name):
    """Return how the thing of a kind is named by its file, and by its package."""
    return {
        "environment": f"{PLUGIN}/rlenv_demo/environment.py:rlenv-demo/Digits-v0",
        "stage": f"{PLUGIN}/rlenv_demo/stage.py:sharpen",
        "engine": f"{PLUGIN}/rlenv_demo/engine.py:copying",
        "text_filter": f"{PLUGIN}/rlenv_demo/text_filter.py:no_shouting",
        "algorithm": f"{PLUGIN}/rlenv_demo/algorithm.py:sign",
    }[name]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The package, built and installed into a folder of its own, without a network."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    subprocess.run(["cp", "-r", PLUGIN, source], check=True)  # pip builds in place
    options = ["--no-index", "--no-build-isolation", "--no-deps", "--target", folder / "site"]
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", *options, source], check=True)
    return folder / "site"


def rlenv(*arguments, site=None, cwd):
    """Run a command of rlenv, in a process of its own."""
    path = os.pathsep.join(str(p) for p in (site, ROOT) if p is not None)
    done = subprocess.run(
        [sys.executable, "-m", "rlenv", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("way", ["files", "package"])
def test_all_five_take_part_in_a_run(way, installed, tmp_path):
    if way == "files":
        site, ref = None, files
    else:
        site = installed
        ref = {
            "environment": "rlenv-demo/Digits-v0",
            "stage": "sharpen",
            "engine": "copying",
            "text_filter": "no_shouting",
            "algorithm": "sign",
        }.__getitem__

    documents = [f"Document {n} says that two and two are four." for n in range(300)]
    documents[7] = "WHOEVER SHOUTS IS LEFT OUT."
    lines = "".join(json.dumps({"text": text}) + "\n" for text in documents)
    (tmp_path / "raw.jsonl").write_text(lines)
    pipeline = {
        "input": "raw.jsonl",
        "out": "clean",
        "steps": {"normalise": {}, ref("text_filter"): {"most": 0.8}},
        "processes": 2,
        "chunk_megabytes": 0.005,  # several chunks, so that other processes do the work
    }
    (tmp_path / "clean.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False))
    rlenv("data", "run", "clean.yaml", site=site, cwd=tmp_path)
    report = json.loads((tmp_path / "clean" / "report.json").read_text())
    assert report["documents"] == {"read": 300, "kept": 299}
    assert report["steps"]["no_shouting"]["dropped"] == {"shouting": 1}

    run = {
        "run_dir": "run",
        "env": ref("environment"),
        "engine": {"kind": ref("engine"), "options": {"log": str(tmp_path / "updates")}},
        "threads": 1,
        "stages": {
            "tokenizer": {"corpus": ["tasks"], "max_length": 64},
            "pretrain": {
                "corpus": ["tasks", "clean"],
                "tasks": 200,
                "steps": 2,
                "batch_size": 4,
                "length": 32,
            },
            "sft": {"demonstrations": 16, "batch_size": 16},
            ref("stage"): {"factor": 3.0},
            "grpo": {
                "algorithm": ref("algorithm"),
                "groups": 4,
                "group_size": 4,
                "steps": 2,
                "max_tokens": 4,
                "eval_tasks": 4,
                "eval_every": 9,
            },
        },
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run, sort_keys=False))
    said = rlenv("train", "run.yaml", site=site, cwd=tmp_path)
    assert "the last norm times 3" in said
    assert "sign, 2 steps of 4 groups x 4 rollouts" in said
    before, after = (
        load_file(tmp_path / "run" / stage / "model.safetensors")["model.norm.weight"]
        for stage in ("sft", "sharpen")
    )
    assert (after == 3 * before).all()
    # before the first rollout, and after each step that comes before another look at the policy
    assert (tmp_path / "updates").read_text().count("updated") == 3
    metrics = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").open()]
    last = [line for line in metrics if line["stage"] == "grpo"][-1]
    assert last["step"] == 2
    assert 0 < last["sampling/importance_sampling_ratio/max"] <= 3.0
