"""One process and two, started by a launcher, take the same steps."""

import json
import signal

import pytest
import torch

from . import forks
from .forks import DieAtCall

STEPS = 4
COMMON = (
    f"steps: {STEPS}, max_tokens: 4, eval_every: 2, eval_tasks: 7, save_every: 2, "
    "learning_rate: 1e-3"
)
# batches that neither two processes nor the micro-batches divide evenly
GROUPS = f"{COMMON}, groups: 5, group_size: 3, micro_batch: 4, minibatches: 2"
GROUPS += ", kl: {coefficient: 0.1}"
CRITIC = f"{COMMON}, groups: 7, micro_batch: 3, kl: {{coefficient: 0.1, place: reward}}"
STAGES = {
    "grpo": f"grpo: {{{GROUPS}}}",
    "ppo": f"ppo: {{{CRITIC}}}",
    "shared": f"ppo: {{{CRITIC}, critic: {{shared: true}}}}",
    "lora": f"grpo: {{{GROUPS}, lora: {{rank: 4}}}}",
}


@pytest.fixture
def make_config(finished_run, tmp_path):
    env = next(
        line
        for line in (finished_run.parent / "miniature.yaml").read_text().splitlines()
        if line.startswith("env:")
    )

    def make(name):
        path = tmp_path / f"{name}.yaml"
        path.write_text(
            f"seed: 0\nrun_dir: {tmp_path}/nowhere\n{env}\nmodel: {finished_run}/sft\nthreads: 1\n"
            f"stages: {{{STAGES[name]}}}\n"
        )
        return path

    return make


def weights(run):
    from safetensors.torch import load_file

    (path,) = run.glob("*/model.safetensors")
    return load_file(path)


def lines(run, name):
    return [json.loads(line) for line in (run / f"{name}.jsonl").open()]


def measured(line):
    timed = ("time/", "step_time", "tokens_per_second")
    return {k: v for k, v in line.items() if not k.startswith(timed) and k != "stage"}


@pytest.mark.parametrize("name", STAGES)
def test_two_processes_take_the_steps_of_one(make_config, tmp_path, name):
    config = make_config(name)
    alone = forks.train([config, f"run_dir={tmp_path}/one"])
    outputs = [tmp_path / "output-0", tmp_path / "output-1"]
    together = forks.train_together(2, [config, f"run_dir={tmp_path}/two"], outputs)
    assert forks.finish(alone) == 0
    assert [forks.finish(process) for process in together] == [0, 0], outputs[1].read_text()

    ours, theirs = weights(tmp_path / "two"), weights(tmp_path / "one")
    for key, value in theirs.items():
        assert torch.allclose(ours[key], value, atol=2e-5), key
    pairs = zip(lines(tmp_path / "two", "metrics"), lines(tmp_path / "one", "metrics"), strict=True)
    for ours, theirs in pairs:
        assert measured(ours) == pytest.approx(measured(theirs), abs=1e-4, rel=1e-3)
    played = [[e["prompt"], e["reply"]] for e in lines(tmp_path / "two", "episodes")]
    assert played == [[e["prompt"], e["reply"]] for e in lines(tmp_path / "one", "episodes")]
    assert len(lines(tmp_path / "two", "metrics")) == STEPS
    assert outputs[1].read_text() == ""  # the main process alone speaks


def test_two_processes_that_are_killed_go_on_to_the_same_bytes(make_config, tmp_path):
    config = make_config("ppo")
    outputs = [tmp_path / "output-0", tmp_path / "output-1"]

    def together(arguments, **options):
        running = forks.train_together(2, arguments, outputs, **options)
        return [forks.finish(process) for process in running]

    assert together([config, f"run_dir={tmp_path}/whole"]) == [0, 0]
    trap = DieAtCall("torch.optim:AdamW", "step", 7)  # in the fourth batch; a save follows two
    codes = together([config, f"run_dir={tmp_path}/killed"], before=trap)
    assert codes == [-signal.SIGKILL] * 2
    assert together(["--resume", tmp_path / "killed"]) == [0, 0]
    ours, theirs = weights(tmp_path / "killed"), weights(tmp_path / "whole")
    assert all(torch.equal(ours[key], value) for key, value in theirs.items())
