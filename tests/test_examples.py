"""The examples run as they stand, and the loop in one file is what the library computes."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import rlenv
from rlenv.trainers.rl import algorithms, group_normalised, policy_loss
from rlenv.trainers.rl.settings import OnPolicySettings
from tests.trainers.support import random_inputs

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def run(*arguments):
    """Run an example in a process of its own; return what it said."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(EXAMPLES.parent), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def grpo():
    spec = importlib.util.spec_from_file_location("examples_grpo", EXAMPLES / "grpo.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_grpo_fits_a_hundred_and_fifty_lines_of_public_names():
    text = (EXAMPLES / "grpo.py").read_text()
    assert len(text.splitlines()) <= 150
    assert set(re.findall(r"^(?:import|from) (\S+)", text, re.MULTILINE)) == {
        "argparse",
        "json",
        "pathlib",
        "torch",
        "rlenv",
    }
    assert set(re.findall(r"rlenv\.(\w+)\(", text)) <= set(rlenv.__all__)
    assert "._" not in text


def test_its_advantages_are_the_librarys(grpo):
    torch.manual_seed(0)
    rewards = torch.rand(20, 8).round(decimals=1)
    rewards[3] = 0.5
    judged = (torch.rand(20, 8) > 0.2).float()
    judged[4] = 0
    judged[5, 1:] = 0
    ours = grpo.group_advantages(rewards, judged)
    assert torch.allclose(ours, group_normalised(rewards, judged), atol=2e-3)


def test_its_loss_is_the_librarys(grpo):
    logprobs, old, advantages, mask = random_inputs(rows=12, length=9)
    batch = rlenv.Batch(
        input_ids=torch.zeros(12, 9, dtype=torch.long),
        mask=mask,
        turns=torch.zeros(12, 9, dtype=torch.long),
        old_logprobs=old,
        prompts=torch.zeros(12, 2, dtype=torch.long),
        advantages=advantages,
    )
    assert grpo.surrogate_loss(logprobs, batch) == pytest.approx(
        float(policy_loss(logprobs, batch)), abs=1e-6
    )


@pytest.fixture(scope="module")
def adder(tmp_path_factory):
    """A checkpoint that has read sums and learned nothing to speak of."""
    from rlenv.cli import train

    folder = tmp_path_factory.mktemp("adder")
    config = folder / "adder.yaml"
    config.write_text(
        f"run_dir: {folder / 'run'}\nenv: rlenv/Arithmetic-v0\nthreads: 1\nstages:\n"
        "  tokenizer: {corpus: [tasks], max_length: 64}\n"
        "  pretrain: {corpus: [tasks], tasks: 200, steps: 2, batch_size: 8, length: 32}\n"
        "  sft: {demonstrations: 2560, batch_size: 64, learning_rate: 1e-2}\n"
    )
    assert train.main([str(config)]) == 0
    return folder / "run" / "sft"


def test_grpo_trains_and_says_what_came_of_it(adder, tmp_path):
    out = tmp_path / "trained"
    said = run(EXAMPLES / "grpo.py", adder, "--steps", 2, "--tasks", 10, "--output", out)
    assert re.search(r"^before: 0\.\d\d \[", said, re.MULTILINE)
    assert re.search(r"^step   1  reward 0\.\d\d  \d+ \+ \d+ = \? -> ", said, re.MULTILINE)
    figures = json.loads((out / "results.json").read_text())
    assert figures["before"]["tasks"] == figures["after"]["tasks"] == 10
    assert f"after:  {figures['after']['pass_at_1']:.2f}" in said
    before, after = (rlenv.Policy.load(p, device="cpu").model for p in (adder, out))
    pairs = zip(before.parameters(), after.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in pairs)


def test_evaluate_compares_two_checkpoints(adder):
    said = run(EXAMPLES / "evaluate.py", adder, adder, "--tasks", 5)
    assert said.count("pass@1 0.") == 2
    assert "difference: +0.000, standard error 0.000" in said


def test_the_environment_plays_and_passes_its_checks():
    said = run(EXAMPLES / "environment.py")
    assert re.fullmatch(r"Spell (\w+) backwards\.  ->  (\w+)   reward 1, right\n", said)
    ref = f"{EXAMPLES}/environment.py:demo/Reverse-v0"
    said = run("-m", "rlenv", "check", ref, "--draws", 5000, "--tasks", 20)
    assert "FAIL" not in said


def test_the_algorithm_is_found_by_its_file():
    said = run(EXAMPLES / "algorithm.py")
    assert said.splitlines()[0] == "rank [-100, -33, 33, 100] [100, -50, -50, 0]"
    ref = f"{EXAMPLES}/algorithm.py:rank"
    settings = OnPolicySettings(algorithm=ref, steps=1)
    assert (settings.clip_high, settings.clip_low, settings.aggregate) == (0.28, 0.2, "sequence")
    assert algorithms.find(ref).loss is algorithms.find("grpo").loss
