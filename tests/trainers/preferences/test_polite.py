"""The reward model of configs/rlhf.yaml, on real pairs that it never saw."""

import json

import pytest
import yaml

from rlenv import train
from tests.conftest import ROOT, SHARED

POLITE = SHARED / "data" / "preference" / "polite-preferences.json"


@pytest.mark.slow
@pytest.mark.skipif(not POLITE.is_file(), reason=f"needs {POLITE}")
def test_it_orders_five_in_six_held_out_pairs(tmp_path):
    """From nothing, with 0.1 million parameters; docs/preferences.md tells of a larger one."""
    raw = yaml.safe_load((ROOT / "configs" / "rlhf.yaml").read_text())
    raw["stages"] = {name: raw["stages"][name] for name in ("tokenizer", "pretrain", "reward")}
    raw["stages"]["reward"]["data"]["rows"] = raw["env"]["rows"] = str(POLITE)
    raw["run_dir"] = str(tmp_path / "run")
    del raw["evaluate"]
    config = tmp_path / "reward.yaml"
    config.write_text(yaml.safe_dump(raw, sort_keys=False))
    assert train.main([str(config)]) == 0
    report = json.loads((tmp_path / "run" / "reward" / "reward_report.json").read_text())
    assert report["pairs"] > 150
    assert report["accuracy"]["value"] >= 5 / 6
