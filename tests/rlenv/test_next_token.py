"""The distribution of the next token, as the model gives it."""

import json
import math

import pytest
import torch

from rlenv.cli import main
from rlenv.evaluation.next_token import predict
from rlenv.models import checkpoint


@pytest.fixture
def model(finished_run):
    return finished_run / "pretrain"


def test_probabilities_are_the_models(model, capsys):
    assert main.main(["next", "1", "--model", str(model), "--json", "--top", "3"]) == 0
    found = json.loads(capsys.readouterr().out)
    causal, tokenizer = checkpoint.load(str(model))
    ids = [tokenizer.bos_token_id, *tokenizer("1", add_special_tokens=False)["input_ids"]]
    with torch.no_grad():
        wanted = causal(torch.tensor([ids])).logits[0, -1].softmax(0)
    for token in found["next"]:
        assert token["probability"] == pytest.approx(float(wanted[token["id"]]), rel=1e-4)
        assert token["text"] == tokenizer.decode([token["id"]])
    assert found["next"][0]["id"] == int(wanted.argmax())
    assert found["others"] == len(tokenizer) - 3
    assert found["rest"] == pytest.approx(1 - sum(t["probability"] for t in found["next"]))
    entropy = -float((wanted * wanted.log()).sum()) / math.log(2)
    assert found["entropy"] == pytest.approx(entropy, rel=1e-4)
    assert found["tokens"] == ["<|begin|>", "1"]


def test_a_question_is_asked_as_in_chat(finished_run, capsys):
    sft = str(finished_run / "sft")
    assert main.main(["next", "1", "--model", sft, "--chat", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["tokens"]
    assert told == ["<|begin|>", "<|user|>", "1", "<|end|>", "<|assistant|>"]


def test_bars_are_shown(model, capsys):
    assert main.main(["next", "1", "--model", str(model), "--top", "2"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0] == "<|begin|>|1"
    assert out.count("%") == 3
    assert "others" in out
    assert "bits" in out


def test_rows_of_an_embedding_that_are_no_token_are_never_next(nano, tokenizer):
    nano.resize_token_embeddings(len(tokenizer) + 8)
    with torch.no_grad():
        nano.get_input_embeddings().weight[len(tokenizer) :] *= 100
    found = predict(nano, tokenizer, [2], top=10**6)
    nano.resize_token_embeddings(len(tokenizer))
    assert len(found.next) == len(tokenizer)
    assert sum(token.probability for token in found.next) == pytest.approx(1)
    assert (found.others, found.rest) == (0, pytest.approx(0, abs=1e-6))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["1", "--top", "0"], "--top"),
        (["1" * 100], "at most 64"),
        (["", "--no-begin"], "no text"),
    ],
)
def test_mistakes_are_named(model, arguments, says, capsys):
    assert main.main(["next", *arguments, "--model", str(model)]) == 2
    assert says in capsys.readouterr().err
