"""Only the named parts of a policy are trained; the rest stays as it was, bit by bit."""

import json

import pytest
import torch
import yaml
from safetensors.torch import load_file

from rlenv.cli import train
from rlenv.common.errors import UserError
from rlenv.trainers.common.freezing import train_only

GROUPS = {"steps": 2, "groups": 4, "group_size": 4, "learning_rate": 0.1, "max_tokens": 8}
CRITIC = {"algorithm": "ppo", "group_size": 1, "groups": 16}


@pytest.fixture
def run(finished_run, tmp_path):
    """Trains parts of a policy; returns the exit status and the run's folder."""

    def trained(names, name="run", **settings):
        grpo = {**GROUPS, "train_only": names, "eval_every": 10, "eval_tasks": 4, **settings}
        raw = {
            "run_dir": str(tmp_path / name),
            "model": str(finished_run / "sft"),
            "env": yaml.safe_load((finished_run.parent / "miniature.yaml").read_text())["env"],
            "threads": 1,
            "device": "cpu",
            "stages": {"grpo": grpo},
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text(json.dumps(raw))
        return train.main([str(path)]), tmp_path / name

    return trained


def changed(folder, base):
    before, after = (load_file(path / "model.safetensors") for path in (base, folder))
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize(
    "how",
    [{}, {"gradient_checkpointing": True}, CRITIC, {**CRITIC, "critic": {"shared": True}}],
    ids=["grpo", "recomputed", "critic", "shared critic"],
)
def test_nothing_else_changes(run, finished_run, how):
    status, folder = run(["norm"], **how)
    assert status == 0
    assert changed(folder / "grpo", finished_run / "sft") == {"model.norm.weight"}


def test_a_part_is_all_that_is_inside(run, finished_run):
    status, folder = run(["layers.1", "model.norm"])
    assert status == 0
    found = changed(folder / "grpo", finished_run / "sft")
    assert {name for name in found if not name.startswith("model.layers.1.")} == {
        "model.norm.weight"
    }
    assert len(found) > 5


def test_it_is_told_how_much_is_trained(run, capsys):
    assert run(["norm"])[0] == 0
    assert "trained: 64 of " in capsys.readouterr().out


def test_a_part_that_the_model_lacks_is_named_with_those_it_has(run, capsys):
    assert run(["norms"])[0] == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "train_only names 'norms', which is no part of the model; it has model, embed" in line
    assert line.endswith("Did you mean norm?")


def test_adapters_and_parts_exclude_each_other(run, capsys):
    assert run(["norm"], lora={"rank": 2})[0] == 2
    assert "leave out one of lora and train_only" in capsys.readouterr().err


def test_a_module_without_weights_is_no_part(nano):
    with pytest.raises(UserError, match="'act_fn', which is no part"):
        train_only(nano, ["act_fn"])
