"""The bundled RLHF config is one that a run accepts, before anything is trained."""

import pytest

from rlenv import trainers
from rlenv.run import config
from rlenv.runner import runner
from tests.conftest import ROOT
from tests.trainers.preferences.test_polite import POLITE


@pytest.mark.skipif(not POLITE.is_file(), reason=f"needs {POLITE}")
def test_the_whole_run_is_checked(tmp_path):
    settings = config.read(
        ROOT / "configs" / "rlhf.yaml",
        [f"run_dir={tmp_path}/run", f"env.rows={POLITE}", f"reward.data.rows={POLITE}"],
    )
    planned = runner.check(settings, "rlhf.yaml", trainers.stage_class)
    assert [p.name for p in planned] == ["tokenizer", "pretrain", "sft", "reward", "ppo"]
    assert settings.environment.options["model"] == f"{tmp_path}/run/reward"
    # what is kept of the run stays as it was written, so that its folder can be moved
    assert settings.env.options["model"] == "${run_dir}/reward"
