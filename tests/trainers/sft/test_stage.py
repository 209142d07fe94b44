"""The stage from files to a checkpoint."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from rlenv.cli import train
from rlenv.models import checkpoint

WORDS = ["red", "blue", "green", "black", "white", "brown"]
ROWS = [
    {"instruction": f"What comes after {word} {n}?", "input": "", "output": word}
    for n in range(8)
    for word in WORDS
]


def config(tmp_path, base, sft, name="run"):
    path = tmp_path / f"{name}.yaml"
    stages = {"sft": {"learning_rate": 1e-2, "eval_every": 4, "batch_size": 8, **sft}}
    settings = {
        "run_dir": str(tmp_path / name),
        "model": str(base),
        "threads": 1,
        "device": "cpu",
        "stages": stages,
    }
    path.write_text(json.dumps(settings))
    return path


def metrics(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").open()]


@pytest.mark.parametrize(
    "how", [{}, {"packing": True}, {"lora": {"rank": 4}}, {"optimizer": "muon"}], ids=str
)
def test_files_are_learned_from(tmp_path, base, write, how, capsys):
    if "lora" in how:
        pytest.importorskip("peft")
    data = write([*ROWS, {"instruction": "What?", "output": " "}])
    path = config(tmp_path, base, {"data": str(data), "epochs": 4, "held_out": 0.2, **how})
    assert train.main([str(path)]) == 0
    run = tmp_path / "run"
    logged = metrics(run)
    losses = [m["held_out/loss"] for m in logged if "held_out/loss" in m]
    assert losses[-1] < losses[0] - 0.1
    assert logged[-1]["loss"] < logged[0]["loss"] - 0.5
    model, _ = checkpoint.load(str(run / "sft"), device="cpu")
    before, _ = checkpoint.load(str(base), device="cpu")
    theirs = before.state_dict()
    assert set(model.state_dict()) == set(theirs)
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, theirs[k])}
    assert changed
    if "lora" in how:
        assert all("proj" in name for name in changed)
    report = json.loads((run / "sft" / "data_report.json").read_text())[0]
    assert report["form"] == "alpaca"
    assert report["dropped"] == {"an empty reply": {"rows": 1, "first": [49]}}
    assert report["used"] + report["held_out"] == len(ROWS)
    assert "dropped: an empty reply: 1 row (49)" in capsys.readouterr().out
    tokens = logged[-1]["num_tokens"]
    assert tokens == 4 * report["tokens"]


def test_accumulation_changes_nothing(tmp_path, base, write):
    data = write(ROWS)
    losses = []
    for name, how in {"whole": {}, "parts": {"accumulate": 4}}.items():
        path = config(tmp_path, base, {"data": str(data), **how}, name)
        assert train.main([str(path)]) == 0
        losses.append([m["loss"] for m in metrics(tmp_path / name)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_what_is_outside_the_layers_may_learn_more_slowly(tmp_path, base, write):
    """With a share of next to nothing it stays where it was, and the matrices inside do not."""
    how = {"data": str(write(ROWS)), "optimizer": "muon", "outside_rate": 1e-9}
    assert train.main([str(config(tmp_path, base, how))]) == 0
    before = load_file(base / "model.safetensors")
    for name, weights in load_file(tmp_path / "run" / "sft" / "model.safetensors").items():
        inside = weights.ndim == 2 and "layers" in name
        assert torch.allclose(weights, before[name], atol=1e-6) == (not inside), name


@pytest.mark.parametrize("how", [{"lora": {"rank": 2}}, {"optimizer": "muon"}], ids=str)
def test_an_interrupted_stage_goes_on_to_the_same_bytes(tmp_path, base, write, stopped, how):
    data = write(ROWS)
    how = {"data": str(data), "epochs": 2, "packing": True, "batch_size": 2, **how}
    assert train.main([str(config(tmp_path, base, how, "whole"))]) == 0
    path = config(tmp_path, base, how, "parts")
    with stopped(6):
        assert train.main([str(path)]) == 130
    assert not (tmp_path / "parts" / "sft").exists()
    assert train.main([str(path)]) == 0
    whole, parts = (tmp_path / name / "sft" / "model.safetensors" for name in ("whole", "parts"))
    assert whole.read_bytes() == parts.read_bytes()
    steps = [m["step"] for m in metrics(tmp_path / "parts")]
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) == len(metrics(tmp_path / "whole"))


def test_texts_are_mixed_in(tmp_path, base, write):
    text = tmp_path / "text.txt"
    text.write_text("It was a dark and stormy night. " * 200)
    data = write(ROWS)
    path = config(tmp_path, base, {"data": str(data), "text": str(text), "text_share": 0.5})
    assert train.main([str(path)]) == 0
    report = json.loads((tmp_path / "run" / "sft" / "data_report.json").read_text())[0]
    tokens = metrics(tmp_path / "run")[-1]["num_tokens"]
    assert 1.9 * report["tokens"] < tokens < 2.3 * report["tokens"]


def test_a_tokenizer_without_a_template_gets_one(tmp_path, base, write):
    bare = shutil.copytree(base, tmp_path / "bare")
    (bare / "chat_template.jinja").unlink()
    path = config(tmp_path, bare, {"data": str(write(ROWS)), "chat_template": "chatml"})
    assert train.main([str(path)]) == 0
    model, tokenizer = checkpoint.load(str(tmp_path / "run" / "sft"), device="cpu")
    assert tokenizer.eos_token == "<|im_end|>"
    assert model.config.eos_token_id == tokenizer.eos_token_id
    assert len(tokenizer) <= model.get_input_embeddings().num_embeddings
    said = tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False)
    assert said == "<|im_start|>user\nHi<|im_end|>\n"


@pytest.mark.parametrize(
    ("sft", "says"),
    [
        ({}, "sft.data"),
        ({"data": "nowhere.jsonl"}, "nowhere.jsonl does not exist"),
        ({"data": {"path": "{data}", "wieght": 2}}, "Did you mean weight?"),
        ({"data": "{odd}"}, "holds no conversations: its columns are question, answer"),
        ({"data": "{data}", "text": "tasks"}, "no environment"),
        ({"data": "{data}", "chat_template": "chatmal"}, "Did you mean chatml?"),
        ({"data": "{bad}"}, "2 of 3 rows"),
        ({"data": "{data}", "stop_at": 0.5}, "sft.stop_at is a reward"),
        ({"data": "{data}", "lora": {}, "optimizer": "muon"}, "muon is for whole matrices"),
        ({"data": "{data}", "outside_rate": 0.5}, "outside_rate is for optimizer: muon"),
    ],
)
def test_mistakes_are_named(tmp_path, base, write, sft, says, capsys):
    files = {
        "{data}": write(ROWS),
        "{odd}": write([{"question": "a", "answer": "b"}], "odd.jsonl"),
        "{bad}": write([ROWS[0], {"instruction": "a"}, {"output": "b"}], "bad.jsonl"),
    }
    text = json.dumps(sft)
    for name, file in files.items():
        text = text.replace(name, str(file))
    path = config(tmp_path, base, json.loads(text))
    assert train.main([str(path)]) in (1, 2)
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_bf16_is_for_the_products_and_not_for_the_weights(tmp_path, base, write):
    """The setting reaches the forward pass, and what is saved keeps the precision it had."""
    data = write(ROWS)
    for name, bf16 in {"without": False, "with": True}.items():
        computed = set()

        def note(module, inputs, output, computed=computed):
            if isinstance(module, torch.nn.Linear) and module.training:
                computed.add(output.dtype)

        hook = torch.nn.modules.module.register_module_forward_hook(note)
        try:
            path = config(tmp_path, base, {"data": str(data), "bf16": bf16}, name)
            assert train.main([str(path)]) == 0
        finally:
            hook.remove()
        assert computed == {torch.bfloat16 if bf16 else torch.float32}
        weights = load_file(tmp_path / name / "sft" / "model.safetensors")
        assert {w.dtype for w in weights.values()} == {torch.float32}
