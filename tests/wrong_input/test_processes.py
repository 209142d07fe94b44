"""What takes a process of its own: start-up, signals, and a sample of the cases."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import MINIATURE, ROOT
from tests.wrong_input.cases import CASES
from tests.wrong_input.harness import LINES, SECONDS, Outcome, prepare

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
SAMPLE = (
    "a command that does not exist",
    "an empty YAML",
    "a checkpoint: weights of a wrapped model",
    "training: a score that raises",
)
STOPPED = 130
LONG = MINIATURE.replace("steps: 6,", "steps: 100000,")


@pytest.mark.parametrize("name", SAMPLE)
def test_a_case_in_a_process_of_its_own(name, places, tmp_path):
    (case,) = (case for case in CASES if case.name == name)
    words = prepare(case, places, tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "rlenv", *words],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        cwd=tmp_path,
        timeout=SECONDS,
        check=False,
    )
    outcome = Outcome(done.returncode, done.stdout + done.stderr)
    assert not outcome.complaints(case), outcome.text


def start(tmp_path: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        cwd=tmp_path,
    )


def wait_for(process: subprocess.Popen[str], there) -> None:
    for _ in range(SECONDS * 100):
        if process.poll() is not None or there():
            return
        time.sleep(0.01)
    process.kill()
    raise AssertionError("it never came so far")


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, error = process.communicate(timeout=SECONDS)
    assert "Traceback" not in error
    assert len([line for line in error.splitlines() if line.strip()]) <= LINES
    return process.returncode, out + error


def loaded(process: subprocess.Popen[str], library: str) -> bool:
    """Return whether a process has loaded a library, which it does in the middle of its imports."""
    return library in Path(f"/proc/{process.pid}/maps").read_text()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("library", ["_multiarray_umath", "libtorch_cpu"])
def test_ctrl_c_while_importing(library, miniature, tmp_path):
    process = start(tmp_path, "rlenv.train", str(miniature))
    wait_for(process, lambda: loaded(process, library))
    process.send_signal(signal.SIGINT)
    code, text = ended(process)
    assert code == STOPPED
    assert "stopped" in text


@pytest.fixture
def long_run(tmp_path):
    config = tmp_path / "long.yaml"
    config.write_text(LONG.format(run_dir=tmp_path / "run"))
    process = start(tmp_path, "rlenv.train", str(config))
    yield process
    process.kill()
    process.communicate()


def trains(tmp_path: Path) -> bool:
    metrics = tmp_path / "run" / "metrics.jsonl"
    return metrics.exists() and '"pretrain"' in metrics.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_stops_a_run_where_it_can_go_on(number, long_run, tmp_path):
    wait_for(long_run, lambda: trains(tmp_path))
    long_run.send_signal(number)
    code, text = ended(long_run)
    assert code == STOPPED
    assert f"go on with: python -m rlenv.train --resume {tmp_path / 'run'}" in text


def test_three_ctrl_c_in_a_row(long_run, tmp_path):
    wait_for(long_run, lambda: trains(tmp_path))
    for _ in range(3):
        long_run.send_signal(signal.SIGINT)
        time.sleep(0.02)
    code, _ = ended(long_run)
    assert code in (STOPPED, -signal.SIGINT)


def test_ctrl_c_while_evaluating_says_how_to_go_on(places, tmp_path):
    words = ["rlenv.eval", str(places.run / "grpo"), f"{places.digits}:demo/Digits-v0"]
    process = start(tmp_path, *words, "--output", "out/here", "--tasks", "500000", "--batch", "4")
    wait_for(process, lambda: any((tmp_path / "out/here/parts").glob("*.parquet")))
    process.send_signal(signal.SIGINT)
    code, text = ended(process)
    assert code == STOPPED
    assert "the same command goes on" in text


def test_a_hub_that_can_not_be_reached_is_waited_for_briefly(tmp_path):
    """Neither the hub's name resolves nor does anything answer: no minute of retries."""
    online = {k: v for k, v in ENVIRONMENT.items() if k != "HF_HUB_OFFLINE"}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "rlenv", "next", "1", "--model", "nobody/no-model"],
        capture_output=True,
        text=True,
        env={**online, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)},
        cwd=tmp_path,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 2
    assert "can't be reached over the network" in done.stderr
    assert done.stderr.count("\n") == 1
    assert time.monotonic() - began < SECONDS / 2
