"""Soft targets: what is learned from one reply where the expert might have given others."""

import json
import math
import re
import string
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

import rlenv
from rlenv.cli import train
from rlenv.common.errors import UserError
from rlenv.models import checkpoint
from rlenv.models.chat_format import ChatFormat
from rlenv.trainers.sft.demonstrations import demonstrations
from rlenv.trainers.sft.soft import (
    POSITIONS,
    SoftTargets,
    collate_soft,
    cross_entropy,
    soften,
    targets,
)

STOP = 9
replies = st.lists(st.integers(0, 2), max_size=4).map(lambda ids: (*ids, STOP))
choices = st.dictionaries(replies, st.floats(0.01, 1), min_size=1, max_size=12)


@given(choices, st.data())
def test_targets_are_the_conditional_probabilities_of_tokens(found, data):
    said = data.draw(st.sampled_from(sorted(found)))
    total = sum(found.values())
    made = targets(found, said)
    assert len(made) == len(said)
    for place, shares in enumerate(made):
        alike = {ids: share for ids, share in found.items() if ids[:place] == said[:place]}
        for token in (0, 1, 2, STOP):
            of_token = sum(share for ids, share in alike.items() if ids[place] == token)
            assert shares.get(token, 0) == pytest.approx(of_token / sum(alike.values()))
    likely = math.prod(shares[token] for shares, token in zip(made, said, strict=True))
    assert likely == pytest.approx(found[said] / total)


def test_a_reply_that_the_choices_do_not_hold_is_named():
    soft = SoftTargets(lambda text: [*map(ord, text), 0])
    assert soft({"ab": 0.5, "ac": 0.5}, "ac")[1] == {98: 0.5, 99: 0.5}
    for said in ("ad", "b", "no"):
        with pytest.raises(UserError, match=f"demonstrates '{said}', which its choices"):
            soft({"ab": 0.5, "ac": 0.5, "no": 0.0}, said)


def test_replies_of_the_same_tokens_count_together():
    soft = SoftTargets(lambda text: [*map(ord, text.strip()), 0])
    assert soft({"ab": 0.25, "ab ": 0.25, "ac": 0.5}, "ab")[1] == {98: 0.5, 99: 0.5}


def test_many_choices_are_read_once_and_others_of_the_same_size_anew():
    read = []
    soft = SoftTargets(lambda text: [*map(ord, read.append(text) or text), 0])
    words = [a + b for a in string.ascii_lowercase for b in string.ascii_lowercase]
    many = dict.fromkeys(words, 1 / len(words))
    assert soft(many, "ab")[0] == pytest.approx(dict.fromkeys(range(97, 123), 1 / 26))
    assert soft(many, "xy") is soft(many, "xy")
    assert len(read) == len(words)
    few = {word: 1.0 if word[0] == "a" else 0.0 for word in words}
    assert soft(few, "ab")[0] == {97: 1.0}


@given(st.lists(st.tuples(choices, st.integers(0, 5)), min_size=1, max_size=3), st.integers(0, 99))
def test_the_loss_is_that_of_dense_targets(turns, seed):
    """Rows of several turns, some learned softly, beside torch's loss of whole distributions."""
    generator = torch.Generator().manual_seed(seed)
    rows, dense = [], []
    for start in range(len(turns)):
        row, of_replies = {"input_ids": [], "labels": []}, []
        for number, (found, asked) in enumerate(turns[start:]):
            said = sorted(found)[seed % len(found)]
            row["input_ids"] += [*[5] * (asked + 1), *said]
            row["labels"] += [*[-100] * (asked + 1), *said]
            made = targets(found if number % 2 == 0 else {said: 1.0}, said)
            of_replies.append(made)
            for shares in made:
                dense.append(torch.zeros(10))
                for one, share in shares.items():
                    dense[-1][one] = share
        rows.append(soften(row, of_replies))
    batch = collate_soft(rows, pad=7)
    logits = torch.randn(*batch["input_ids"].shape, 10, generator=generator)
    labelled = batch["labels"] != -100
    ours = cross_entropy(logits, labelled, batch["target_at"], batch["target_shares"])
    ahead = logits[:, :-1][labelled[:, 1:]]
    assert ours.item() == pytest.approx(
        F.cross_entropy(ahead, torch.stack(dense), reduction="sum").item(), rel=1e-4
    )


def test_rows_of_files_have_the_targets_of_their_labels():
    plain = {"input_ids": [5, 1, STOP], "labels": [-100, 1, STOP]}
    batch = collate_soft([plain], pad=7)
    assert batch["target_at"].tolist() == [[0, 1, 1], [0, 2, STOP]]
    assert batch["target_shares"].tolist() == [1, 1]


ENVIRONMENT = """
import rlenv


@rlenv.register("demo/Colours-v0")
class Colours(rlenv.SingleTurnEnv):
    def generate(self, rng):
        return rlenv.Task(f"Colour {rng.randint(0, 40)}?", answer=rng.choice(KNOWN))

    def score(self, task, reply):
        return reply in KNOWN

    def choices(self, task, messages):
        return CHOICES
"""
COLOURS = {"red": 0.25, "rose": 0.25, "blue": 0.5}


@pytest.fixture
def run(tmp_path, base):
    """Fine-tunes on an expert's colours, and returns the exit status and the run's folder."""

    def tuned(choices, name="run", known="['red', 'rose', 'blue', 'blue']", **sft):
        text = ENVIRONMENT.replace("KNOWN", known).replace("CHOICES", choices)
        (tmp_path / f"{name}.py").write_text(text)
        stage = {"learning_rate": 1e-2, "batch_size": 16, "eval_every": 1000, "eval_tasks": 4}
        settings = {
            "run_dir": str(tmp_path / name),
            "model": str(base),
            "env": {"id": f"{tmp_path / name}.py:demo/Colours-v0"},
            "threads": 1,
            "device": "cpu",
            "stages": {"sft": {**stage, "demonstrations": 400, "max_tokens": 4, **sft}},
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text(json.dumps(settings))
        return train.main([str(path)]), tmp_path / name

    return tuned


def metrics(folder: Path):
    return [json.loads(line) for line in (folder / "metrics.jsonl").open()]


def test_a_policy_comes_to_draw_as_its_expert_does(run):
    status, folder = run(repr(COLOURS), soft_targets=True, epochs=4)
    assert status == 0
    logged = metrics(folder)
    assert logged[0]["expert_kl"] > 0.5
    assert -1e-3 < logged[-1]["expert_kl"] < 0.02
    model, tokenizer = checkpoint.load(str(folder / "sft"), device="cpu")
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Colour 7?"}], add_generation_prompt=True, return_tensors="pt"
    )
    with torch.no_grad():
        first = model(**asked).logits[0, -1].softmax(-1)
    r, b = (tokenizer(letter, add_special_tokens=False)["input_ids"][0] for letter in "rb")
    assert float(first[r]) == pytest.approx(0.5, abs=0.08)
    assert float(first[b]) == pytest.approx(0.5, abs=0.08)


def test_an_expert_that_is_certain_is_learned_as_trl_learns_it(run):
    """Where one reply has all the probability, soft targets change nothing."""
    known = "['red']"
    ours, theirs = (
        run("{'red': 1.0}", name, known, soft_targets=soft)[1]
        for name, soft in (("soft", True), ("hard", False))
    )
    a, b = (load_file(folder / "sft" / "model.safetensors") for folder in (ours, theirs))
    for name, weights in a.items():
        torch.testing.assert_close(weights, b[name], rtol=1e-3, atol=1e-4)
    losses = [[m["loss"] for m in metrics(folder)] for folder in (ours, theirs)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3, abs=1e-5)


def test_where_choices_are_not_known_replies_are_learned_as_said_and_it_is_told(
    tmp_path, base, caplog
):
    choices = f"{COLOURS!r} if len(task.question) > 9 else None"  # not known up to 9
    text = ENVIRONMENT.replace("KNOWN", "['red', 'rose', 'blue']").replace("CHOICES", choices)
    (tmp_path / "colours.py").write_text(text)
    env = rlenv.make(f"{tmp_path}/colours.py:demo/Colours-v0")
    _, tokenizer = checkpoint.load(str(base), device="cpu")
    rows = demonstrations(env, ChatFormat(tokenizer, str(base)), 120, seed=0, soft=True)
    asked = [
        re.search(r"Colour (\d+)\?", tokenizer.decode(row["input_ids"])).group(1) for row in rows
    ]
    assert [len(row[POSITIONS]) > 0 for row in rows] == [len(number) > 1 for number in asked]
    unknown = sum(len(number) == 1 for number in asked)
    assert 0 < unknown < 120
    (told,) = [r.getMessage() for r in caplog.records if "not known" in r.getMessage()]
    assert f"for {unknown} of them in 120 episodes" in told


def test_an_interrupted_run_goes_on_to_the_same_bytes(run, stopped):
    assert run(repr(COLOURS), "whole", soft_targets=True)[0] == 0
    with stopped(6):
        assert run(repr(COLOURS), "parts", soft_targets=True)[0] == 130
    status, parts = run(repr(COLOURS), "parts", soft_targets=True)
    assert status == 0
    whole = parts.parent / "whole"
    files = [folder / "sft" / "model.safetensors" for folder in (whole, parts)]
    assert files[0].read_bytes() == files[1].read_bytes()
    kl = [[m["expert_kl"] for m in metrics(folder)] for folder in (whole, parts)]
    assert kl[0] == pytest.approx(kl[1])


@pytest.mark.parametrize(
    ("choices", "sft", "says"),
    [
        ("None", {}, "does not tell how likely its expert's replies are"),
        ("{'red': 1.0}", {}, "which its choices() do not hold"),
        ("{'red': 1.0}", {"packing": True}, "soft_targets and packing can't go together"),
        ("{'red': 1.0}", {"data": "rows.jsonl"}, "soft_targets are those of demonstrations"),
    ],
)
def test_mistakes_are_named(run, choices, sft, says, capsys):
    assert run(choices, known="['blue']", soft_targets=True, **sft)[0] in (1, 2)
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
