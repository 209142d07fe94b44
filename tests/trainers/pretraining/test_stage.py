"""The stage as a run carries it out: what it leaves, and that a kill changes nothing."""

import hashlib
import json
import signal

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from rlenv.trainers.pretraining.measure import HeldOutLoss
from rlenv.trainers.pretraining.objectives import Causal
from tests.conftest import DIGITS
from tests.trainers import forks
from tests.trainers.forks import DieAtCall

CONFIG = """
seed: 0
run_dir: {run}
env: {digits}:demo/Digits-v0
threads: 1
stages:
  tokenizer: {{corpus: [tasks, {books}], max_length: 64}}
  pretrain:
    model: {{width: 64, layers: 2, heads: 4, mlp: 176}}
    phases:
      - {{share: 0.5, corpus: {{tasks: 0.25, {books}: 0.75}}}}
      - {{share: 0.5, corpus: [tasks]}}
    tasks: 200
    steps: 8
    batch_size: 6
    micro_batch: 4
    length: 24
    optimizer: muon
    schedule: cosine
    held_out: 0.2
    eval_every: 3
    prompts: ["", "the "]
    sample_tokens: 8
    save_every: 2
"""


@pytest.fixture(scope="module")
def make_config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("books")
    rows = [f"the {n} men went to the sea with {n * n} ships and came home\n" * 5 for n in range(9)]
    (folder / "books.jsonl").write_text("".join(json.dumps({"text": r}) + "\n" for r in rows))

    def make(run):
        path = tmp_path_factory.mktemp("config") / "run.yaml"
        path.write_text(CONFIG.format(run=run, digits=DIGITS, books=folder / "books.jsonl"))
        return path

    return make


@pytest.fixture(scope="module")
def undisturbed(make_config, tmp_path_factory):
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    assert forks.finish(forks.train([make_config(run)])) == 0
    return run


def left_by(run):
    """The checkpoint's hashes, the metrics that are no times, the texts written."""
    weights = {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted((run / "pretrain").iterdir())
    }
    return weights, metrics_of(run), (run / "samples.jsonl").read_text()


def metrics_of(run):
    records = map(json.loads, (run / "metrics.jsonl").open())
    return [
        {k: v for k, v in record.items() if k != "tokens_per_second"}
        for record in records
        if record["stage"] == "pretrain"
    ]


def test_what_it_leaves(undisturbed):
    metrics = metrics_of(undisturbed)
    assert [m["step"] for m in metrics] == list(range(1, 9))
    measured = [m for m in metrics if "held_out/bits_per_byte" in m]
    assert [m["step"] for m in measured] == [3, 6, 8]
    for m in measured:
        assert {"held_out/loss/tasks", "held_out/bits_per_byte/books", "epoch/tasks"} <= m.keys()
    assert measured[1]["epoch/books"] == measured[2]["epoch/books"], "the second phase has none"
    assert measured[2]["held_out/loss"] < measured[0]["held_out/loss"]
    samples = [json.loads(line) for line in (undisturbed / "samples.jsonl").open()]
    assert [(s["step"], s["prompt"]) for s in samples] == [
        (step, prompt) for step in (3, 6, 8) for prompt in ("", "the ")
    ]
    assert all(s["text"] for s in samples)


def test_bits_per_byte_is_what_transformers_says(undisturbed, make_config):
    """Of one held-out text, one token after another."""
    model = AutoModelForCausalLM.from_pretrained(undisturbed / "pretrain")
    tokenizer = AutoTokenizer.from_pretrained(undisturbed / "pretrain")
    text = "the 5 men came home\n"
    ids = [tokenizer.bos_token_id, *tokenizer.encode(text), tokenizer.eos_token_id]
    with torch.no_grad():
        logprobs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    nats = -sum(float(logprobs[n, token]) for n, token in enumerate(ids[1:]))
    held_out = HeldOutLoss(
        {"x": [text]}, tokenizer, Causal(), length=64, characters=100, batch_size=4
    )
    found = held_out.losses(model)
    assert found["held_out/loss/x"] == pytest.approx(nats / (len(ids) - 1), rel=1e-5)
    assert found["held_out/bits_per_byte"] == pytest.approx(nats / 0.6931472 / len(text), rel=1e-5)


MOMENTS = {
    "between two parts of a batch": DieAtCall("rlenv.trainers.pretraining.forward", "row_loss", 6),
    "between two optimizers of a step": DieAtCall("torch.optim:AdamW", "step", 6),
    "while text is written": DieAtCall("rlenv.trainers.pretraining.training", "continuations", 2),
    "before a save is sealed": DieAtCall("rlenv.trainers.common.checkpointing", "_digests", 3),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_and_resumed(make_config, undisturbed, tmp_path, moment):
    run = tmp_path / "run"
    first = forks.train([make_config(run)], before=MOMENTS[moment])
    assert forks.finish(first) == -signal.SIGKILL
    assert forks.finish(forks.train(["--resume", run])) == 0
    assert left_by(run) == left_by(undisturbed)
