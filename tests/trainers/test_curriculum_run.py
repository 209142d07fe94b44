"""The adaptive curriculum inside a run: it moves, is logged, and survives an interruption."""

import hashlib
import json

import pytest

from rlenv.cli import train
from rlenv.run.stage import Context

CURRICULUM = "grpo.curriculum={start: 1, highest: 3, raise_at: 0.01, window: 24}"


def run(config, folder):
    return train.main([str(config), f"run_dir={folder}", CURRICULUM, "grpo.steps=6"])


def levels(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").open()]
    return [m["curriculum/level"] for m in lines if m["stage"] == "grpo"]


def weights(folder):
    return hashlib.sha256((folder / "grpo" / "model.safetensors").read_bytes()).hexdigest()


@pytest.mark.parametrize("stop_after", [2, 3])
def test_an_interrupted_curriculum_ends_in_the_same_bytes(
    miniature, tmp_path, monkeypatch, stop_after
):
    assert run(miniature, tmp_path / "whole") == 0
    log = Context.log

    def stop_once(self, step, metrics):
        log(self, step, metrics)
        if self.stage == "grpo" and step == stop_after:
            self.stop.requested = True

    with monkeypatch.context() as patch:
        patch.setattr(Context, "log", stop_once)
        assert run(miniature, tmp_path / "parts") == 130
    assert train.main(["--resume", str(tmp_path / "parts")]) == 0

    seen = levels(tmp_path / "whole")
    assert seen[0] == 1
    assert seen[-1] > 1
    assert levels(tmp_path / "parts") == seen
    assert weights(tmp_path / "parts") == weights(tmp_path / "whole")


def test_a_level_that_there_is_not_stops_the_run_before_it_starts(miniature, tmp_path, capsys):
    wrong = CURRICULUM.replace("highest: 3", "highest: 9")
    assert train.main([str(miniature), f"run_dir={tmp_path}/run", wrong]) == 2
    assert "level is 1 to 6, not 9" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
