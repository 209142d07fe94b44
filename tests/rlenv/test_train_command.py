"""The train command as users meet it, in processes of its own."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from rlenv.cli import train as command
from tests.conftest import MINIATURE, ROOT

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def train(*arguments, **kwargs):
    return subprocess.run(
        [sys.executable, "-m", "rlenv.train", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=300,
        **kwargs,
    )


def bytes_of(run: Path) -> dict[str, str]:
    """Hashes of every file of every checkpoint of a run."""
    return {
        f"{stage}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for stage in ("tokenizer", "pretrain", "sft", "grpo")
        for path in sorted((run / stage).iterdir())
    }


def complain(config: str, tmp_path, *overrides) -> str:
    """Run a config that is wrong; return what it says, after checking how it says it."""
    path = tmp_path / "wrong.yaml"
    path.write_text(config)
    done = train(path, *overrides)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists(), "nothing may start"
    return done.stderr


def test_the_same_seed_gives_the_same_bytes(finished_run, miniature, tmp_path):
    done = train(miniature)
    assert done.returncode == 0, done.stderr
    assert bytes_of(tmp_path / "run") == bytes_of(finished_run)
    assert "held-out (test split)" in done.stdout
    assert "the same prompts" in done.stdout


def test_the_engines_dtype_is_kept_with_the_figures(miniature, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    lines = miniature.read_text().splitlines()
    short = "\n".join(
        line for line in lines if not line.startswith(("  sft:", "  grpo:", "          "))
    )
    miniature.write_text(short)
    assert command.main([str(miniature), "engine.dtype=bfloat16"]) == 0
    (result,) = json.loads((tmp_path / "run/results.json").read_text())
    assert result["model"]["dtype"] == "bfloat16"


def test_another_seed_gives_others(finished_run, miniature, tmp_path):
    assert train(miniature, "seed=1", f"run_dir={tmp_path}/other").returncode == 0
    ours, theirs = bytes_of(tmp_path / "other"), bytes_of(finished_run)
    for stage in ("pretrain", "sft", "grpo"):
        assert ours[f"{stage}/model.safetensors"] != theirs[f"{stage}/model.safetensors"]


def test_what_a_run_leaves(finished_run):
    results = json.loads((finished_run / "results.json").read_text())
    assert [r["stage"] for r in results] == ["pretrain", "sft", "grpo"]
    for row in results:
        assert row["env"] == "demo/Digits-v0"
        assert row["split"] == "test"
        assert 0 <= row["ci_low"] <= row["pass_at_1"] <= row["ci_high"] <= 1
        assert 0 <= row["greedy"] <= 1
    metrics = [json.loads(line) for line in (finished_run / "metrics.jsonl").open()]
    grpo = [m for m in metrics if m["stage"] == "grpo"]
    assert [m["step"] for m in grpo] == [1, 2, 3, 4]
    assert all(m["sampling/sampling_logp_difference/max"] < 1e-4 for m in grpo)
    weights = bytes_of(finished_run)
    assert weights["grpo/model.safetensors"] != weights["sft/model.safetensors"], "it must learn"
    assert not (finished_run / "state").exists() or not any((finished_run / "state").iterdir())


def test_the_report_is_one_file_with_everything_in_it(finished_run):
    page = (finished_run / "report.html").read_text()
    for text in ("<svg", "pass@1", "KL to", "entropy", "tokens per second", "reply length"):
        assert text in page
    for outside in ("<script", "<link", "src=", "@import", "url("):
        assert outside not in page.replace("url(#", "")


def test_transformers_loads_every_checkpoint_and_says_the_same(finished_run):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from rlenv.engines.base import Request, Sampling
    from rlenv.models.chat_format import ChatFormat
    from rlenv.models.checkpoint import engine_for

    for stage in ("pretrain", "sft", "grpo"):
        model = AutoModelForCausalLM.from_pretrained(finished_run / stage)
        tokenizer = AutoTokenizer.from_pretrained(finished_run / stage)
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": "12 + 34 = ?"}],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        )
        theirs = model.generate(**prompt, do_sample=False, max_new_tokens=12)
        chat = ChatFormat(tokenizer)
        (ours,) = engine_for(model, chat).generate(
            [Request(prompt["input_ids"][0].tolist(), seed=0)],
            Sampling(temperature=0, max_tokens=12),
        )
        assert ours.token_ids == theirs[0, prompt["input_ids"].shape[1] :].tolist()
        assert torch.isfinite(torch.tensor(ours.logprobs)).all()


def test_a_finished_run_is_not_run_again(run_copy):
    before = bytes_of(run_copy)
    stamps = {p: p.stat().st_mtime_ns for p in run_copy.glob("*/model.safetensors")}
    done = train("--resume", run_copy)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("done before") == 4
    assert bytes_of(run_copy) == before
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps


@pytest.mark.parametrize("stage", ["pretrain", "sft", "grpo"])
def test_ctrl_c_leaves_a_run_that_goes_on_to_the_same_bytes(finished_run, tmp_path, stage):
    config = tmp_path / "run.yaml"
    config.write_text(MINIATURE.format(run_dir=tmp_path / "run"))
    process = subprocess.Popen(
        [sys.executable, "-m", "rlenv.train", str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    metrics = tmp_path / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and process.poll() is None:
        if metrics.exists() and f'"stage": "{stage}"' in metrics.read_text():
            process.send_signal(signal.SIGINT)
            break
        time.sleep(0.005)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert "--resume" in errors
    assert "grpo" not in json.loads((tmp_path / "run" / "stages.json").read_text())
    done = train("--resume", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert bytes_of(tmp_path / "run") == bytes_of(finished_run)
    steps = [
        (m["stage"], m["step"]) for m in map(json.loads, (tmp_path / "run/metrics.jsonl").open())
    ]
    assert len(steps) == len(set(steps)), "no step is logged twice"


def test_sigkill_in_the_middle_of_grpo(finished_run, tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text(MINIATURE.format(run_dir=tmp_path / "run"))
    process = subprocess.Popen(
        [sys.executable, "-m", "rlenv.train", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=ENVIRONMENT,
    )
    metrics = tmp_path / "run" / "metrics.jsonl"
    while process.poll() is None:
        if metrics.exists() and '"stage": "grpo"' in metrics.read_text():
            process.kill()
            break
        time.sleep(0.005)
    process.wait()
    assert train("--resume", tmp_path / "run").returncode == 0
    assert bytes_of(tmp_path / "run") == bytes_of(finished_run)


def test_a_run_folder_in_use(run_copy):
    import fcntl

    with (run_copy / ".lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = train("--resume", run_copy)
    assert done.returncode == 2
    assert "in use by another run" in done.stderr


def test_a_run_folder_of_another_config(run_copy, miniature):
    done = train(miniature, f"run_dir={run_copy}", "grpo.steps=9")
    assert done.returncode == 2
    assert "another config (different: grpo.steps)" in done.stderr


def test_a_folder_with_other_things_in_it(tmp_path, miniature):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("do not touch")
    done = train(miniature, f"run_dir={tmp_path}/mine")
    assert done.returncode == 2
    assert "thesis.tex" in done.stderr
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


GOOD = (
    "run_dir: {run}\nenv: rlenv/Arithmetic-v0\n"
    "stages:\n  tokenizer: {{}}\n  pretrain: {{steps: 1}}\n"
)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            "pretrain.lerning_rate=1",
            "pretrain.lerning_rate is not a setting. Did you mean learning_rate?",
        ),
        ("sed=1", "sed is not a setting. Did you mean seed?"),
        ("pretrain.steps=many", "pretrain.steps"),
        ("pretrain.steps=0", "pretrain.steps"),
        ("stages.gpro={}", "there is no stage 'gpro'"),
        ("stages.sft={demonstrations: 1, batch_sise: 2}", "Did you mean batch_size?"),
        ("env=rlenv/Arithmetik-v0", "rlenv/Arithmetic-v0"),
        ("env.levle=2", "no option 'levle'"),
        ("env.level=99", "level is 1 to 6"),
        ("pretrain.model=namo", "Did you mean nano?"),
        ("pretrain.corpus=[nowhere.txt]", "no corpus 'nowhere.txt'"),
        ("stages={grpo: {steps: 1}}", "grpo needs a model to start from"),
        ("stages={pretrain: {steps: 1}}", "pretrain needs a tokenizer"),
        ("nonsense", "key=value"),
    ],
)
def test_bad_input_ends_in_one_sentence(tmp_path, change, says):
    assert says in complain(GOOD.format(run=tmp_path / "run"), tmp_path, change)


def test_missing_files(tmp_path):
    for arguments in (["none.yaml"], ["--resume", tmp_path], []):
        done = train(*arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert "Traceback" not in done.stderr
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1")
    assert "is no YAML" in train(broken).stderr


def test_a_checkpoint_without_a_chat_template(finished_run, tmp_path):
    bare = Path(shutil.copytree(finished_run / "sft", tmp_path / "bare"))
    (bare / "chat_template.jinja").unlink(missing_ok=True)
    settings = json.loads((bare / "tokenizer_config.json").read_text())
    settings.pop("chat_template", None)
    (bare / "tokenizer_config.json").write_text(json.dumps(settings))
    config = (
        f"run_dir: {tmp_path}/run\nenv: rlenv/Arithmetic-v0\nmodel: {bare}\n"
        "stages: {grpo: {steps: 1}}"
    )
    assert "no chat template" in complain(config, tmp_path)
    assert "no checkpoint" in complain(config.replace(str(bare), str(tmp_path)), tmp_path)
    assert "does not exist" in complain(config.replace(str(bare), "./nowhere"), tmp_path)


def test_a_checkpoint_is_trained_without_any_other_stage(finished_run, tmp_path):
    config = tmp_path / "rl.yaml"
    config.write_text(
        f"run_dir: {tmp_path}/run\nenv: rlenv/Arithmetic-v0\nmodel: {finished_run}/sft\n"
        "stages: {grpo: {steps: 1, groups: 2, group_size: 2, max_tokens: 4, eval_tasks: 4}}\n"
    )
    done = train(config)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run/grpo/model.safetensors").exists()


def test_a_grader_that_keeps_failing_stops_the_run(finished_run, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import rlenv\n"
        "@rlenv.register('demo/Bad-v0')\n"
        "class Bad(rlenv.SingleTurnEnv):\n"
        "    def generate(self, rng): return rlenv.Task(str(rng.randrange(1000)))\n"
        "    def score(self, task, reply): raise RuntimeError('the checker is down')\n"
    )
    config = tmp_path / "rl.yaml"
    config.write_text(
        f"run_dir: {tmp_path}/run\nenv: {tmp_path}/mine.py:Bad-v0\nmodel: {finished_run}/sft\n"
        "stages: {grpo: {steps: 1, groups: 2, group_size: 2, max_tokens: 4, eval_tasks: 4}}\n"
    )
    done = train(config)
    assert done.returncode == 1
    assert "the checker is down" in done.stderr.splitlines()[-1]
    assert done.stderr.splitlines()[-1].startswith("error: the grader failed on 100%")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own that a test can fill and enlarge."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=900k", "none", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.xdist_group("sandbox")  # which counts mounts, and this makes one
def test_a_full_disk_ends_in_a_sentence_and_the_run_goes_on_later(
    finished_run, small_disk, tmp_path
):
    config = tmp_path / "run.yaml"
    config.write_text(MINIATURE.format(run_dir=small_disk / "run"))
    for size in ("900k", "1500k"):
        subprocess.run(["mount", "-o", f"remount,size={size}", str(small_disk)], check=True)
        done = train(config)
        assert done.returncode == 1
        assert done.stderr.startswith("error: the disk is full")
        assert "Traceback" not in done.stderr
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    done = train(config)
    assert done.returncode == 0, done.stderr
    assert bytes_of(small_disk / "run") == bytes_of(finished_run)
