"""The layers that an adapter is put beside are named by the user, and looked for in the model."""

import json

import pytest

from rlenv.cli import train
from rlenv.models import checkpoint
from tests.trainers.preferences.conftest import polite_rows

pytest.importorskip("peft")

INSIDE = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
STAGES = ("sft", "dpo", "kto", "reward", "grpo", "ppo")


@pytest.fixture
def refused(tmp_path, nano, tokenizer, capsys):
    """Start a stage whose adapter has wrong targets; returns the sentence that says so."""
    import copy

    model, rows = tmp_path / "model", tmp_path / "rows.jsonl"
    checkpoint.save(copy.deepcopy(nano), tokenizer, model)
    both = [{**row, "instruction": row["prompt"], "output": "x"} for row in polite_rows(40)]
    rows.write_text("\n".join(map(json.dumps, both)))
    config = tmp_path / "run.yaml"

    def run(stage, targets):
        data = {"rows": str(rows)} if stage in ("dpo", "kto", "reward") else str(rows)
        settings = {"steps": 1} if stage in ("grpo", "ppo") else {"data": data, "batch_size": 8}
        raw = {
            "run_dir": str(tmp_path / "run"),
            "model": str(model),
            "env": "rlenv/Arithmetic-v0",
            "threads": 1,
            "device": "cpu",
            "stages": {stage: {**settings, "lora": {"rank": 2, "targets": targets}}},
        }
        config.write_text(json.dumps(raw))
        assert train.main([str(config)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    return run


@pytest.mark.parametrize("stage", STAGES)
def test_a_layer_that_no_model_has_is_named_with_those_it_has(stage, refused):
    line = refused(stage, ["q_proj", "qproj"])
    assert "lora.targets names 'qproj', which is no layer of the model; it has embed_tokens" in line
    assert ", ".join(INSIDE) in line
    assert line.endswith("Did you mean q_proj?")


def test_a_part_of_the_model_that_is_no_layer(refused):
    assert "'self_attn', which is no layer of the model" in refused("dpo", ["self_attn"])


@pytest.mark.parametrize(
    ("stage", "layer"), [("sft", "lm_head"), ("dpo", "lm_head"), ("reward", "score")]
)
def test_a_layer_that_can_have_no_adapter(stage, layer, refused):
    line = refused(stage, [layer])
    assert f"'{layer}', which can have no adapter in this stage; those that can are" in line
    assert line.endswith(", ".join(INSIDE))
