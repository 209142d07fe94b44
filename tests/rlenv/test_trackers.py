"""Metrics reach TensorBoard, Weights & Biases and trackio, offline."""

import json
import sys

import pytest

from rlenv.cli.train import main
from rlenv.common.errors import UserError
from rlenv.run import trackers
from rlenv.run.config import parse_run

CONFIG = """
seed: 0
run_dir: {run_dir}
env: rlenv/Arithmetic-v0
threads: 1
report_to: {report_to}
stages:
  tokenizer: {{corpus: [tasks], max_length: 64}}
  pretrain: {{corpus: [tasks], tasks: 200, steps: 3, batch_size: 4, length: 32}}
"""


@pytest.fixture
def config(tmp_path):
    def written(report_to):
        path = tmp_path / "run.yaml"
        path.write_text(CONFIG.format(run_dir=tmp_path / "run", report_to=report_to))
        return str(path)

    return written


def metrics_of(run, stage):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").open()]
    kept = [line for line in lines if line["stage"] == stage]
    return {line.pop("step"): {k: v for k, v in line.items() if k != "stage"} for line in kept}


def test_tensorboard_holds_what_metrics_jsonl_holds(config, tmp_path):
    pytest.importorskip("tensorboard")
    assert main([config("tensorboard")]) == 0
    expected = metrics_of(tmp_path / "run", "pretrain")
    names = {name for metrics in expected.values() for name in metrics}
    assert scalars(tmp_path / "run", "pretrain") == {
        name: {
            step: pytest.approx(metrics[name], rel=1e-5)
            for step, metrics in expected.items()
            if name in metrics
        }
        for name in names
    }


def scalars(run, stage):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "tensorboard" / stage))
    events.Reload()
    names = events.Tags()["scalars"]
    return {name: {e.step: e.value for e in events.Scalars(name)} for name in names}


def test_steps_that_are_done_again_replace_the_first(tmp_path):
    """As after a run that was killed and resumed from its last save."""
    pytest.importorskip("tensorboard")
    for steps, value in [((1, 2, 3, 4), 1.0), ((3, 4, 5), 2.0)]:
        with trackers.tracking(["tensorboard"], tmp_path, "grpo", {}) as (board,):
            for step in steps:
                board.log(step, {"reward": value})
    assert scalars(tmp_path, "grpo") == {"reward": {1: 1.0, 2: 1.0, 3: 2.0, 4: 2.0, 5: 2.0}}


def test_trackio_holds_them_and_goes_on_in_the_same_run(tmp_path, monkeypatch, capsys):
    pytest.importorskip("trackio")
    from trackio.sqlite_storage import SQLiteStorage

    monkeypatch.setattr("trackio.utils.TRACKIO_DIR", tmp_path / "trackio")
    monkeypatch.setattr("trackio.sqlite_storage.TRACKIO_DIR", tmp_path / "trackio")
    (tmp_path / "one").mkdir()
    for steps in ((1, 2), (3,)):
        with trackers.tracking(["trackio"], tmp_path / "one", "grpo", {"seed": 1}) as (tracker,):
            for step in steps:
                tracker.log(step, {"reward": step / 10})
    (run,) = SQLiteStorage.get_runs("rlenv")
    logs = SQLiteStorage.get_logs("rlenv", run)
    assert {line["step"]: line["reward"] for line in logs} == {1: 0.1, 2: 0.2, 3: 0.3}
    assert capsys.readouterr().out == ""


def test_wandb_gets_them_under_the_stages_name(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    (tmp_path / "one").mkdir()
    with trackers.tracking(["wandb"], tmp_path / "one", "grpo", {"seed": 1}) as (tracker,):
        for step in (1, 2):
            tracker.log(step, {"reward": step / 10})
        assert wandb.run.name == "one-grpo"
        assert wandb.run.project == "rlenv"
        assert wandb.run.config["seed"] == 1
        assert wandb.run.summary["reward"] == 0.2
        own = wandb.run.id
    with trackers.tracking(["wandb"], tmp_path / "one", "grpo", {}):
        assert wandb.run.id == own
    with trackers.tracking(["wandb"], tmp_path / "one", "ppo", {}):
        assert wandb.run.id != own
    assert list((tmp_path / "one" / "wandb").glob("offline-run-*"))


def test_wandb_without_a_login_says_what_to_do(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")

    def refuses(**_):
        raise wandb.errors.UsageError("api_key not configured")

    monkeypatch.setattr(wandb, "init", refuses)
    with (
        pytest.raises(UserError, match="WANDB_MODE=offline"),
        trackers.tracking(["wandb"], tmp_path, "grpo", {}),
    ):
        pass


@pytest.mark.parametrize("name", trackers.TRACKERS)
def test_a_missing_package_is_named_before_anything_starts(
    config, tmp_path, monkeypatch, capsys, name
):
    monkeypatch.setitem(sys.modules, name, None)
    assert main([config(f"[{name}]")]) == 2
    assert f"pip install 'verifiable-rl[{name}]'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_folder_of_logs_is_not_taken_for_the_package(tmp_path, monkeypatch):
    (tmp_path / "wandb").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    with pytest.raises(UserError, match="not installed"):
        trackers.check_installed(["wandb"])


def test_report_to_is_a_word_or_a_list():
    raw = {"run_dir": "x", "env": "rlenv/Arithmetic-v0", "stages": {"grpo": {}}}
    assert parse_run({**raw, "report_to": "wandb"}, "x").report_to == ["wandb"]
    assert parse_run({**raw, "report_to": "none"}, "x").report_to == []
    assert parse_run(raw, "x").report_to == []
    with pytest.raises(UserError, match="report_to"):
        parse_run({**raw, "report_to": "tensorbord"}, "x")


def test_what_is_left_is_sent_however_a_stage_ends(monkeypatch, tmp_path):
    ended = []

    class Recorder:
        def __init__(self, folder, stage, config):
            self.stage = stage

        def finish(self):
            ended.append(self.stage)

    monkeypatch.setitem(trackers.TRACKERS, "tensorboard", Recorder)
    with (
        pytest.raises(KeyboardInterrupt),
        trackers.tracking(["tensorboard"], tmp_path, "sft", {}),
    ):
        raise KeyboardInterrupt
    assert ended == ["sft"]
