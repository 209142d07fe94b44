"""docs/algorithms.md names every algorithm, setting and warning, with the defaults there are."""

import re

from rlenv.trainers.common.lora import LoRASettings
from rlenv.trainers.rl import algorithms
from rlenv.trainers.rl.kl import KLSettings
from rlenv.trainers.rl.monitors import ALARMS
from rlenv.trainers.rl.settings import CriticSettings, OnPolicySettings, OverlongSettings
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "algorithms.md").read_text()
SECTIONS = {
    "kl": KLSettings,
    "critic": CriticSettings,
    "overlong": OverlongSettings,
    "lora": LoRASettings,
}


def rows(heading):
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def settings():
    """Name of each setting to the model and field that it is."""
    found = {}
    for name in OnPolicySettings.model_fields:
        if name in SECTIONS:
            found |= {f"{name}.{n}": (SECTIONS[name], n) for n in SECTIONS[name].model_fields}
        else:
            found[name] = (OnPolicySettings, name)
    return found


def test_every_algorithm_is_in_the_table():
    words = [row[0].strip("`") for row in rows("The words")]
    assert sorted(words) == sorted(algorithms.BUILT_IN)


def test_every_setting_is_in_the_table():
    named = [name for row in rows("Settings") for name in re.findall(r"`([^`]+)`", row[0])]
    assert sorted(named) == sorted(settings())


def test_the_defaults_are_those_there_are():
    checked = 0
    for names, said, _ in rows("Settings"):
        defaults = [d.strip().strip("`") for d in said.split(",")]
        for name, default in zip(re.findall(r"`([^`]+)`", names), defaults * 2, strict=False):
            model, field = settings()[name]
            actual = model.model_fields[field].default
            if isinstance(actual, bool):
                assert default == str(actual).lower(), name
            elif isinstance(actual, (int, float)):
                assert float(default) == actual, name
            elif isinstance(actual, str) and name != "aggregate":
                assert default == actual, name
            else:
                continue
            checked += 1
    assert checked > 30


def test_every_warning_is_in_the_table():
    seen_by = {row[0].strip("`"): row[2] for row in rows("What the log says")}
    assert sorted(seen_by) == sorted(ALARMS)
    for name, alarm in ALARMS.items():
        metric = "gold_component" if name == "gold" else alarm.metric
        assert f"`{metric}`" in seen_by[name]


def test_the_algorithm_of_ones_own_works(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "centred.py"
    path.write_text(code)
    found = algorithms.find(f"{path}:centred")
    assert found.advantages.__name__ == "centred"
    assert found.loss.__name__ == "reinforce"
    assert OnPolicySettings(algorithm=f"{path}:centred", steps=1).aggregate == "token"
