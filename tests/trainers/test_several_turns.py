"""A run of every stage on environments of several turns."""

import json

import pytest

import rlenv
from rlenv.cli import train
from rlenv.models import checkpoint
from rlenv.models.chat_format import ChatFormat

CONFIG = """
seed: 0
run_dir: {run_dir}
env: {env}
threads: 1
stages:
  tokenizer: {{corpus: [tasks], max_length: {length}}}
  pretrain: {{corpus: [tasks], tasks: 200, steps: 2, batch_size: 8, length: 32}}
  sft:
    {{demonstrations: 32, batch_size: 16, group_by_length: true, eval_every: 2, eval_tasks: 4,
      max_tokens: 8}}
  grpo: {{groups: 2, group_size: 4, steps: 2, max_tokens: 6, eval_every: 2, eval_tasks: 4}}
evaluate: {{split: test, tasks: 4, samples: 1, max_tokens: 6}}
"""


def run(tmp_path, env, length):
    config = tmp_path / "run.yaml"
    config.write_text(CONFIG.format(run_dir=tmp_path / "run", env=env, length=length))
    assert train.main([str(config)]) == 0
    return tmp_path / "run"


def test_wordle(tmp_path):
    folder = run(tmp_path, "{id: rlenv/Wordle-v0, instructions: false}", 192)
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    logged = [json.loads(line) for line in lines]
    assert any("rewards/valid/mean" in line for line in logged)
    _, tokenizer = checkpoint.load(str(folder / "sft"))
    chat = ChatFormat(tokenizer)
    for secret in rlenv.make("rlenv/Wordle-v0", split="test").tasks:
        chat.check_covers(secret.answer)
    chat.check_covers("cX rY aG nX eX not an allowed word")


@pytest.mark.slow
def test_tools(tmp_path):
    run(tmp_path, "{id: rlenv/PythonTool-v0, level: 1, tools: [calculator]}", 1600)
