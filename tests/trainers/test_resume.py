"""A run that is killed, at any moment, and resumed ends in the same bytes as one that was not."""

import hashlib
import json
import random
import signal
import time

import pytest

from . import forks
from .forks import DieAtCall

# four optimizer steps on each of four rollout batches
SETTINGS = (
    "{steps: 4, groups: 4, group_size: 4, minibatches: 2, epochs: 2, max_tokens: 4, eval_every: 2, "
    "eval_tasks: 4, save_every: 1, learning_rate: 1e-2, kl: {coefficient: 0.1, target: 0.01}}"
)
PPO = SETTINGS.replace("kl:", "group_size: 1, groups: 16, critic: {shared: SHARED}, kl:").replace(
    "groups: 4, group_size: 4, ", ""
)
STAGES = {
    "grpo": ("grpo", SETTINGS),
    "lora": ("grpo", SETTINGS.replace("{steps", "{lora: {rank: 4}, keep_best: true, steps")),
    "parts": ("grpo", SETTINGS.replace("{steps", "{train_only: [norm], steps")),
    "ppo": ("ppo", PPO.replace("SHARED", "false")),
    "shared": ("ppo", PPO.replace("SHARED", "true")),
}


@pytest.fixture(scope="module")
def make_config(finished_run, tmp_path_factory):
    def make(name, folder):
        path = tmp_path_factory.mktemp("config") / f"{name}.yaml"
        digits = finished_run.parent / "miniature.yaml"
        env = next(x for x in digits.read_text().splitlines() if x.startswith("env:"))
        path.write_text(
            f"seed: 0\nrun_dir: {folder}\n{env}\nmodel: {finished_run}/sft\nthreads: 1\n"
            f"stages: {{{STAGES[name][0]}: {STAGES[name][1]}}}\n"
        )
        return path

    return make


@pytest.fixture(scope="module")
def undisturbed(make_config, tmp_path_factory):
    """The bytes of runs that nothing happened to, by the name of their stage."""
    folder = tmp_path_factory.mktemp("undisturbed")
    running = {name: forks.train([make_config(name, folder / name)]) for name in STAGES}
    assert [forks.finish(process) for process in running.values()] == [0] * len(STAGES)
    return {name: left_by(folder / name) for name in STAGES}


def left_by(run):
    """What a run leaves: the checkpoint's hashes, and the metrics that are no times."""
    (weights,) = run.glob("*/model.safetensors")
    weights = {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(weights.parent.iterdir())
    }
    timed = ("time/", "step_time", "tokens_per_second")
    metrics = [
        {k: v for k, v in json.loads(line).items() if not k.startswith(timed)}
        for line in (run / "metrics.jsonl").open()
    ]
    episodes = (run / "episodes.jsonl").read_text()
    return weights, metrics, episodes


OPTIMIZER = "torch.optim:AdamW"
FOLDER = "pathlib:Path"
MOMENTS = {
    "before the first step": DieAtCall(OPTIMIZER, "step", 1),
    "between two steps on one batch": DieAtCall(OPTIMIZER, "step", 6, after=True),
    "with gradients but no step": DieAtCall("accelerate:Accelerator", "clip_grad_norm_", 7),
    "in the middle of a rollout": DieAtCall("rlenv.trainers.rl.worker", "play", 4),
    "in the middle of a save": DieAtCall("torch", "save", 5),
    "before a save is sealed": DieAtCall("rlenv.trainers.common.checkpointing", "_digests", 2),
    "before a save takes its name": DieAtCall(FOLDER, "rename", 2),
    "after a save took its name": DieAtCall(FOLDER, "rename", 2, after=True),
    "while an old save is removed": DieAtCall("shutil", "rmtree", 4, after=True),
    "before a line is logged": DieAtCall("rlenv.run.run_folder:RunFolder", "log", 5),
    "after a line is logged": DieAtCall("rlenv.run.run_folder:RunFolder", "log", 5, after=True),
    "while the checkpoint is written": DieAtCall("rlenv.models.checkpoint", "save", 1, after=True),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed(make_config, undisturbed, tmp_path, moment):
    run = tmp_path / "run"
    config = make_config("grpo", run)
    assert forks.finish(forks.train([config], before=MOMENTS[moment])) == -signal.SIGKILL
    assert forks.finish(forks.train(["--resume", run])) == 0
    assert left_by(run) == undisturbed["grpo"]


@pytest.mark.parametrize("name", ["lora", "parts", "ppo", "shared"])
def test_killed_again_and_again(make_config, undisturbed, tmp_path, name):
    """It gets a batch further each time."""
    run = tmp_path / "run"
    arguments, deaths = [make_config(name, run)], 0
    trap = DieAtCall(OPTIMIZER, "step", 6)
    while forks.finish(forks.train(arguments, before=trap)) == -signal.SIGKILL:
        arguments, deaths = ["--resume", run], deaths + 1
    assert deaths == 3
    assert left_by(run) == undisturbed[name]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_killed_at_random_moments(make_config, undisturbed, tmp_path, seed):
    """By the clock, wherever that finds it after each of its steps."""
    rng, run = random.Random(seed), tmp_path / "run"
    metrics = run / "metrics.jsonl"
    arguments = [make_config("grpo", run)]
    for steps in (1, 2, 3):
        process = forks.train(arguments)
        while process.is_alive() and not (
            metrics.exists() and metrics.read_text().count("\n") >= steps
        ):
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        process.kill()
        process.join()
        arguments = ["--resume", run]
    assert forks.finish(forks.train(arguments)) == 0
    assert left_by(run) == undisturbed["grpo"]


def flip_a_bit(save):
    path = save / "pytorch_model.bin"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_short(save):
    path = save / "optimizer.bin"
    path.write_bytes(path.read_bytes()[:-100])


def lose_a_file(save):
    (save / "others").unlink()


@pytest.mark.parametrize("damage", [flip_a_bit, cut_short, lose_a_file])
def test_the_save_before_a_damaged_one_is_used(make_config, undisturbed, tmp_path, damage):
    run = tmp_path / "run"
    trap = DieAtCall(OPTIMIZER, "step", 14)
    forks.finish(forks.train([make_config("grpo", run)], before=trap))
    saves = sorted((run / "state" / "grpo").iterdir())
    assert [save.name for save in saves] == ["step-00000002", "step-00000003"]
    damage(saves[-1])
    output = tmp_path / "output"
    assert forks.finish(forks.train(["--resume", run], output=output)) == 0
    assert "step-00000003 is damaged; going back" in output.read_text()
    assert left_by(run) == undisturbed["grpo"]
