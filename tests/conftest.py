"""What several test files share: small models, a miniature run, and where outside data lies."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# how long an example takes says how busy the machine is, nothing about what is tested
settings.register_profile("rlenv", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("rlenv")

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

ROOT = Path(__file__).resolve().parent.parent

# data of others, which the repository does not hold; tests that need it are skipped without
SHARED = Path(os.environ.get("RLENV_SHARED", ROOT.parent / "shared"))
GSM8K = SHARED / "data" / "gsm8k"
needs_gsm8k = pytest.mark.skipif(
    not GSM8K.is_dir(), reason=f"needs train.jsonl and test.jsonl of GSM8K in {GSM8K}"
)

DIGITS = ROOT / "tests" / "digits.py"

MINIATURE = """
seed: 0
run_dir: {run_dir}
env: {digits}:demo/Digits-v0
threads: 1
stages:
  tokenizer: {{corpus: [tasks], max_length: 64}}
  pretrain: {{corpus: [tasks], tasks: 500, steps: 6, batch_size: 8, length: 32, save_every: 2}}
  sft: {{demonstrations: 64, batch_size: 16, save_every: 2}}
  grpo: {{groups: 4, group_size: 4, steps: 4, max_tokens: 4, eval_every: 2, eval_tasks: 8,
          save_every: 2, learning_rate: 1e-2}}
evaluate: {{split: test, tasks: 12, samples: 2, max_tokens: 4}}
""".replace("{digits}", str(DIGITS))


@pytest.fixture(autouse=True)
def _one_thread():
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)


@pytest.fixture
def miniature(tmp_path):
    """A config file of a run that takes seconds; `run_dir` is tmp_path/run."""
    path = tmp_path / "miniature.yaml"
    path.write_text(MINIATURE.format(run_dir=tmp_path / "run"))
    return path


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """The folder of a finished miniature run. Copy it before changing it."""
    from rlenv.cli import train

    folder = tmp_path_factory.mktemp("finished")
    config = folder / "miniature.yaml"
    config.write_text(MINIATURE.format(run_dir=folder / "run"))
    assert train.main([str(config)]) == 0
    return folder / "run"


@pytest.fixture
def run_copy(finished_run, tmp_path):
    """A copy of the finished run that a test may change."""
    return Path(shutil.copytree(finished_run, tmp_path / "copy"))


@pytest.fixture(scope="session")
def tokenizer():
    """A character tokenizer that covers printable ASCII."""
    from rlenv.models.tokenizer import character_tokenizer

    text = "".join(map(chr, range(32, 127))) + "\n"
    return character_tokenizer([text, text], max_length=256)


@pytest.fixture(scope="session")
def chat(tokenizer):
    """The tokenizer's chat format."""
    from rlenv.models.chat_format import ChatFormat

    return ChatFormat(tokenizer)


@pytest.fixture(scope="session")
def nano(tokenizer):
    """An untrained nano model."""
    import torch

    from rlenv.models import presets

    torch.manual_seed(0)
    return presets.build("nano", vocabulary=len(tokenizer), max_length=256, tokenizer=tokenizer)
