"""Whoever writes a setting by an earlier name is told the new one."""

import pytest

from rlenv.cli import train
from rlenv.common.errors import UserError
from rlenv.common.settings import parse
from rlenv.trainers.rl.settings import OnPolicySettings, PPOSettings
from rlenv.trainers.sft.settings import SFTSettings

# how each was written when it had its earlier name
EARLIER = [
    ("grpo", OnPolicySettings, "updates", 4, "minibatches"),
    ("grpo", OnPolicySettings, "gold", "rule", "gold_component"),
    ("grpo", OnPolicySettings, "signs", {"kl": "stop"}, "alarms"),
    ("grpo", OnPolicySettings, "part", [0, 0.5], "task_range"),
    ("ppo", PPOSettings, "updates", 4, "minibatches"),
    ("sft", SFTSettings, "part", [0, 0.5], "task_range"),
]


@pytest.mark.parametrize(("stage", "section", "old", "value", "new"), EARLIER)
def test_an_earlier_name_leads_to_the_new_one(stage, section, old, value, new):
    needed = {} if section is SFTSettings else {"steps": 1}
    with pytest.raises(UserError) as refused:
        parse(section, {**needed, old: value}, "run.yaml", f"{stage}.")
    assert str(refused.value) == f"run.yaml: {stage}.{old} is not a setting. Did you mean {new}?"
    if isinstance(value, int):
        needed["groups"] = value
    if old == "signs":
        needed["kl"] = {"coefficient": 0.1}
    assert parse(section, {**needed, new: value}, "run.yaml", f"{stage}.") is not None


def test_the_list_of_earlier_names_is_whole():
    for section in (OnPolicySettings, SFTSettings):
        listed = {(old, new) for _, s, old, _, new in EARLIER if s is section}
        assert listed == set(section.renamed.items())


def test_a_run_is_refused_in_one_sentence(tmp_path, capsys):
    config = tmp_path / "run.yaml"
    config.write_text(
        f"run_dir: {tmp_path / 'run'}\nenv: rlenv/Arithmetic-v0\nmodel: {tmp_path}\n"
        "stages: {grpo: {steps: 1, updates: 2}}\n"
    )
    assert train.main([str(config)]) == 2
    said = capsys.readouterr().err
    assert said == f"error: {config}: grpo.updates is not a setting. Did you mean minibatches?\n"


def test_an_algorithm_that_sets_an_earlier_name_is_told_too(tmp_path):
    file = tmp_path / "old.py"
    file.write_text(
        "from rlenv.trainers.rl import algorithms\n\n\n"
        "@algorithms.loss('of_old', updates=2)\ndef loss(x):\n    return -x.advantages\n"
    )
    with pytest.raises(UserError, match=r"sets 'updates'.* Did you mean minibatches\?"):
        parse(OnPolicySettings, {"steps": 1, "algorithm": f"{file}:of_old"}, "run.yaml", "grpo.")
