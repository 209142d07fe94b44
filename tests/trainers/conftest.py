"""A stage about to begin, after the miniature run's SFT."""

import pytest

from rlenv.common.display import Display
from rlenv.run import config
from rlenv.run.run_folder import RunFolder
from rlenv.run.stage import Context


@pytest.fixture
def context(finished_run, tmp_path):
    settings = config.parse_run(
        {"run_dir": str(tmp_path), "env": "rlenv/Arithmetic-v0", "stages": {"grpo": {}}}, "test"
    )
    with RunFolder(tmp_path / "run", settings) as run:
        yield Context(
            run=run,
            stage="grpo",
            seed=7,
            env=settings.env,
            source=str(finished_run / "sft"),
            device="cpu",
            display=Display(),
        )
