"""Fine-tuning on what was right."""

import json

import pytest
import torch

from rlenv.cli import main, train
from rlenv.core.task import Task
from rlenv.core.trajectory import Group
from rlenv.models import checkpoint
from rlenv.trainers.sft.rejection import as_row, solved_episodes
from rlenv.trainers.sft.rows import IGNORED
from rlenv.trainers.sft.stage import SFTStage
from tests.conftest import DIGITS

from ..support import trajectory


def test_right_whole_replies_are_kept_and_each_once():
    right, again = (trajectory([1, 2], [[3]], [1.0]) for _ in range(2))
    wrong = trajectory([1, 2], [[4]], [0.0])
    cut = trajectory([1, 2], [[5]], [1.0], truncated=True)
    unjudged = trajectory([1, 2], [[6]], [1.0], judged=False)
    more = [trajectory([1, 2], [[n]], [1.0]) for n in (7, 8)]
    group = Group(Task("x"), [wrong, right, again, cut, unjudged, *more])
    assert solved_episodes([group], solved_at=1.0, keep=9) == [right, *more]
    assert solved_episodes([group, group], solved_at=1.0, keep=2) == [right, more[0]]


def test_a_row_is_what_was_sampled():
    row = as_row(trajectory([1, 2], [[3, 4], [6]], said=[[5]]))
    assert row["input_ids"] == [1, 2, 3, 4, 5, 6]
    assert row["labels"] == [IGNORED, IGNORED, 3, 4, IGNORED, 6]


def config(tmp_path, model, name, **more):
    path = tmp_path / f"{name}.yaml"
    stage = {"rounds": 2, "tasks": 64, "samples": 8, "max_tokens": 6, "eval_tasks": 100}
    stage |= {"batch_size": 16, "learning_rate": 1e-2, "warmup_steps": 0, **more}
    settings = {
        "run_dir": str(tmp_path / name),
        "env": f"{DIGITS}:demo/Digits-v0",
        "model": str(model),
        "threads": 1,
        "device": "cpu",
        "stages": {"rejection": stage},
    }
    path.write_text(json.dumps(settings))
    return path


def lines(path):
    return [json.loads(line) for line in path.open()]


def test_rounds_raise_the_reward_and_resume_to_the_same_bytes(finished_run, tmp_path, stopped):
    model = finished_run / "sft"
    assert train.main([str(config(tmp_path, model, "whole"))]) == 0
    rounds = [m for m in lines(tmp_path / "whole" / "metrics.jsonl") if "reward" in m]
    assert len(rounds) == 2
    # of what the second round sampled, with the model that the first left
    assert rounds[1]["rejection/solved"] > rounds[0]["rejection/solved"] + 0.2
    assert rounds[1]["held_out/reward"] > rounds[0]["held_out/reward"]
    assert rounds[1]["rejection/rows"] > rounds[0]["rejection/rows"]
    assert len(lines(tmp_path / "whole" / "episodes.jsonl")) == 8

    path = config(tmp_path, model, "parts")
    with stopped(5):
        assert train.main([str(path)]) == 130
    assert train.main([str(path)]) == 0
    whole, parts = (tmp_path / name / "rejection" for name in ("whole", "parts"))
    assert (whole / "model.safetensors").read_bytes() == (parts / "model.safetensors").read_bytes()
    for log in ("metrics.jsonl", "episodes.jsonl"):
        ours, theirs = (lines(tmp_path / name / log) for name in ("whole", "parts"))
        assert [x["step"] for x in ours] == [x["step"] for x in theirs]


def test_rounds_restart_or_go_on(finished_run, tmp_path):
    weights = {}
    for restart in (True, False):
        name = f"restart-{restart}"
        path = config(tmp_path, finished_run / "sft", name, restart=restart, gather=restart)
        assert train.main([str(path)]) == 0
        model, _ = checkpoint.load(str(tmp_path / name / "rejection"), device="cpu")
        weights[restart] = model.lm_head.weight
    assert not torch.equal(weights[True], weights[False])


def test_nothing_right_is_said(finished_run, tmp_path, capsys):
    path = config(tmp_path, finished_run / "pretrain", "none", tasks=1, samples=2, max_tokens=1)
    assert train.main([str(path)]) == 1
    assert "none of 2 replies was right" in capsys.readouterr().err


def test_a_teacher_writes_verified_conversations_that_sft_reads(finished_run, tmp_path, capsys):
    output = tmp_path / "made.jsonl"
    arguments = ["synthesize", str(finished_run / "sft"), "--env", f"{DIGITS}:demo/Digits-v0"]
    few = ["--tasks", "40", "--samples", "8", "--max-tokens", "6", "--output", str(output)]
    assert main.main([*arguments, *few]) == 0
    rows = lines(output)
    assert 0 < len(rows) <= 40
    for row in rows:
        assert row["messages"][-1]["role"] == "assistant"
        assert row["messages"][-1]["content"].isdigit()
        made = row["made"]
        assert made["verified"] is True
        assert made["reward"] == 1.0
        assert made["env"] == "demo/Digits-v0"
        assert made["teacher"] == str(finished_run / "sft")
        assert {"task", "seed", "temperature", "engine"} <= set(made)
    written = output.read_bytes()
    assert main.main([*arguments, *few]) == 0
    assert output.read_bytes() == written
    SFTStage(SFTStage.Settings(data=str(output))).check(None, None)


def test_prompts_are_answered_unverified(finished_run, tmp_path):
    prompts, output = tmp_path / "prompts.txt", tmp_path / "made.jsonl"
    prompts.write_text("1\n2 3\n")
    arguments = ["synthesize", str(finished_run / "sft"), "--prompts", str(prompts)]
    few = ["--samples", "16", "--max-tokens", "8", "--output", str(output)]
    assert main.main([*arguments, *few]) == 0
    rows = lines(output)
    replies = [(row["made"]["prompt"], row["messages"][-1]["content"]) for row in rows]
    assert len(set(replies)) == len(replies) > 0
    assert {row["messages"][0]["content"] for row in rows} <= {"1", "2 3"}
    assert not any(row["made"]["verified"] for row in rows)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--output", "made.json"], "must be a .jsonl file"),
        (["--output", "made.jsonl", "--keep", "0"], "--keep is at least 1"),
        (["--output", "made.jsonl", "--option", "level=99"], "level is 1 to 6"),
    ],
)
def test_mistakes_are_named(finished_run, more, says, capsys):
    env = ["--env", "rlenv/Arithmetic-v0"]
    assert main.main(["synthesize", str(finished_run / "sft"), *env, *more]) == 2
    assert says in capsys.readouterr().err
