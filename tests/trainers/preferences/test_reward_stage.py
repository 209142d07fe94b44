"""The reward stage: what it learns, what it leaves, and what it says of it."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from rlenv.common.files import read_lines

STAGE = {
    "epochs": 2,
    "batch_size": 16,
    "learning_rate": 3e-3,
    "warmup_steps": 2,
    "eval_every": 10,
}


@pytest.fixture
def stage(polite):
    return {**STAGE, "data": {"rows": str(polite)}}


def test_it_learns_which_replies_are_preferred(run_stages, stage):
    run = run_stages({"reward": stage})
    report = json.loads((run / "reward" / "reward_report.json").read_text())
    accuracy = report["accuracy"]
    assert accuracy["value"] > 0.9
    assert accuracy["low"] < accuracy["value"] <= accuracy["high"]
    assert report["position"] == {"changed": 0.0, "largest_difference": pytest.approx(0, abs=1e-4)}
    lines = list(read_lines(run / "metrics.jsonl"))
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    assert lines[-1]["held_out/accuracy"] == accuracy["value"]
    # what it leaves is a model that transformers loads, and scores as the report says
    model = AutoModelForSequenceClassification.from_pretrained(run / "reward").eval()
    assert model.config.num_labels == 1
    assert AutoTokenizer.from_pretrained(run / "reward").chat_template


def test_an_ensemble_has_members_that_differ(run_stages, stage):
    run = run_stages({"reward": {**stage, "members": 2, "epochs": 1}})
    report = json.loads((run / "reward" / "reward_report.json").read_text())
    assert report["ensemble"]["members"] == 2
    assert report["ensemble"]["score_spread"] > 0
    weights = [
        AutoModelForSequenceClassification.from_pretrained(folder).score.weight
        for folder in (run / "reward", run / "reward" / "member-1")
    ]
    assert not torch.equal(*weights)
    lines = list(read_lines(run / "metrics.jsonl"))
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))


def test_adapters_are_merged(run_stages, stage):
    run = run_stages({"reward": {**stage, "lora": {"rank": 4}, "learning_rate": 1e-2}})
    report = json.loads((run / "reward" / "reward_report.json").read_text())
    assert report["accuracy"]["value"] > 0.9
    assert not (run / "reward" / "adapter_config.json").exists()


def test_the_loss_is_bradley_terry_with_margins_and_centring(
    chat_model, tokenizer, context, chat, polite
):
    """Against the formula, and the gradient that autograd gives of it."""
    from rlenv.core.rows import load_rows
    from rlenv.data.preferences import read
    from rlenv.trainers.preference import reward_model, tokens
    from rlenv.trainers.preference.reward_model import RewardSettings

    settings = RewardSettings(data={"rows": str(polite)}, margins=True, centre=0.05)
    pairs = read(load_rows(polite)).pairs[:6]
    rows = [
        {**tokens.for_reward(tokens.tokenize(p, chat)), "margin": 0.3 * n}
        for n, p in enumerate(pairs)
    ]
    model = reward_model.with_head(str(chat_model), "cpu", seed=1)
    trainer = reward_model.make_trainer(settings, context, model, tokenizer, rows)
    batch = trainer.data_collator(rows)
    loss = trainer.compute_loss(trainer.model, dict(batch))
    loss.backward()
    gradient = model.score.weight.grad.clone()
    model.zero_grad()

    def score(ids):
        """One conversation at a time, without padding."""
        hidden = model.model(torch.tensor([ids])).last_hidden_state[0, -1]
        return model.score(hidden)[0]

    good = torch.stack([score(row["chosen_ids"]) for row in rows])
    bad = torch.stack([score(row["rejected_ids"]) for row in rows])
    margin = torch.tensor([row["margin"] for row in rows])
    expected = (
        -torch.nn.functional.logsigmoid(good - bad - margin).mean()
        + 0.05 * ((good + bad) ** 2).mean()
    )
    expected.backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient, model.score.weight.grad)


@pytest.mark.parametrize("margins", [True, False])
def test_the_margins_of_the_file_reach_the_trainer_where_they_are_asked_for(
    run_stages, stage, tmp_path, monkeypatch, margins
):
    """A pair without one has 0; every pair has the margin that stands beside it in the file."""
    from rlenv.trainers.preference import reward_model

    rows = list(read_lines(Path(stage["data"]["rows"])))[:80]
    for number, row in enumerate(rows):
        if number % 4:
            row["margin"] = number / 10
    path = tmp_path / "margins.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    given = []
    real = reward_model.make_trainer

    def recorded(settings, context, model, tokenizer, rows):
        given.extend((tokenizer.decode(row["chosen_ids"]), row) for row in rows)
        return real(settings, context, model, tokenizer, rows)

    monkeypatch.setattr(reward_model, "make_trainer", recorded)
    settings = {**stage, "data": {"rows": str(path)}, "epochs": 1, "margins": margins}
    run_stages({"reward": settings})
    assert len(given) > 40
    if not margins:
        assert not any("margin" in row for _, row in given)
        return
    for text, row in given:
        (source,) = [r for r in rows if r["prompt"] in text and r["chosen"] in text]
        assert row["margin"] == source.get("margin", 0.0)


@pytest.mark.slow
def test_an_ensemble_that_is_killed_goes_on_to_the_same_bytes(
    run_stages, stage, tmp_path, chat_model
):
    """In the middle of its second member."""
    import hashlib
    import signal

    from tests.trainers import forks

    stages = {"reward": {**stage, "members": 2, "epochs": 1, "save_every": 3}}
    whole = run_stages(stages, "whole")
    killed, config = tmp_path / "killed", tmp_path / "killed.yaml"
    config.write_text(
        (tmp_path / "whole.yaml").read_text().replace(str(whole), f"{tmp_path}/killed")
    )
    dead = forks.train([config], before=forks.DieAtCall("torch.optim:AdamW", "step", 16))
    assert forks.finish(dead) == -signal.SIGKILL
    assert not (killed / "reward").exists()
    assert (killed / "state" / "reward" / "member-0" / "model").is_dir()
    assert forks.finish(forks.train(["--resume", killed])) == 0

    def left_by(run):
        files = sorted((run / "reward").rglob("*.safetensors"))
        lines = list(read_lines(run / "metrics.jsonl"))
        return (
            [hashlib.sha256(file.read_bytes()).hexdigest() for file in files],
            [{k: v for k, v in line.items() if "per_second" not in k} for line in lines],
        )

    assert left_by(killed) == left_by(whole)


def test_over_long_pairs_are_named_before_training(run_stages, stage, polite, tmp_path, capsys):
    path = tmp_path / "long.jsonl"
    long = '{"prompt": "q", "chosen": "%s", "rejected": "c"}' % ("x" * 400)
    path.write_text(f"{polite.read_text()}\n{long}\n")
    run = run_stages({"reward": {**stage, "data": {"rows": str(path)}, "epochs": 1}})
    report = json.loads((run / "reward" / "reward_report.json").read_text())
    assert report["data"]["left_out"] == {"that do not fit into 256 tokens": 1}
    assert "left out: 1 that do not fit into 256 tokens" in capsys.readouterr().out


def test_pairs_that_leave_nothing_to_measure_are_refused(run_stages, stage, tmp_path, capsys):
    path = tmp_path / "few.jsonl"
    pairs = [{"prompt": "a", "chosen": good, "rejected": "c"} for good in "bd"]
    path.write_text("\n".join(map(json.dumps, pairs)))
    with pytest.raises(AssertionError):
        run_stages({"reward": {**stage, "data": {"rows": str(path)}}})
    assert "gave no held-out pairs to measure a reward model with" in capsys.readouterr().err
