"""A stage about to begin, after the miniature run's SFT."""

import pytest

from rlenv.common.display import Display
from rlenv.run import config
from rlenv.run.run_folder import RunFolder
from rlenv.run.stage import Context


@pytest.fixture
def begins_from(finished_run):
    """The checkpoint that `context` begins from."""
    return finished_run / "sft"


@pytest.fixture
def context(begins_from, tmp_path):
    settings = config.parse_run(
        {"run_dir": str(tmp_path), "env": "rlenv/Arithmetic-v0", "stages": {"grpo": {}}}, "test"
    )
    with RunFolder(tmp_path / "run", settings) as run:
        yield Context(
            run=run,
            stage="grpo",
            seed=7,
            env=settings.env,
            source=str(begins_from),
            device="cpu",
            display=Display(),
        )
