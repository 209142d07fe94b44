import json
import os
import pty
import select
import subprocess
import sys
import time

import pytest

from rlenv.cli import main
from tests.conftest import ROOT

CONFIG = "run_dir: run\nenv: rlenv/Arithmetic-v0\nstages: {sft: {}, grpo: {}}\n"
KEPT = [
    {"stage": "sft", "step": 1, "prompt": "1 + 1 = ?", "reply": "11", "reward": 0.0},
    {
        "stage": "grpo",
        "step": 1,
        "prompt": "2 + 2 = ?",
        "reply": "4",
        "reward": 1.0,
        "components": {"correct": 1.0},
        "status": "ok",
        "truncated": False,
        "advantages": 0.75,
    },
    {
        "stage": "grpo",
        "step": 5,
        "prompt": "3 + 3 = ?",
        "reply": "\x1b[2Jboo\u2028[bold]",
        "reward": None,
        "status": "grader_error",
        "detail": "the judge left",
        "truncated": True,
        "advantages": [0.5, -0.5] * 10,
        "turn_rewards": [0.25, 1.0],
    },
    {
        "stage": "grpo",
        "step": 9,
        "prompt": "how far?",
        "reply": "9",
        "env": "rlenv/Other-v0",
        "reward": 0.5,
        "messages": [
            {"role": "user", "content": "how far?"},
            {"role": "assistant", "content": "5"},
            {"role": "user", "content": "farther"},
            {"role": "assistant", "content": "9"},
        ],
    },
]


@pytest.fixture
def run(tmp_path):
    (tmp_path / "config.yaml").write_text(CONFIG)
    lines = [json.dumps(e, ensure_ascii=False) for e in KEPT]
    (tmp_path / "episodes.jsonl").write_text("\n".join([*lines, '{"cut sho']))
    return tmp_path


def view(capsys, *words):
    assert main.main(["view", *map(str, words)]) == 0
    return capsys.readouterr().out


def steps(capsys, *words):
    return [json.loads(line)["step"] for line in view(capsys, *words, "--json").split("\n")[:-1]]


def test_everything_is_shown_in_a_pipe(run, capsys):
    shown = view(capsys, run)
    for said in (
        "sft, step 1",
        "1 + 1 = ?",
        "2 of 4",
        "0.75",
        "correct",
        "not judged, truncated",
        "1.00 right",
        "0.00 wrong",
    ):
        assert said in shown
    assert "the judge left" in shown
    assert "truncated" in shown
    assert "-0.5 to 0.5 over 20" in shown
    assert "0.25, 1" in shown
    assert shown.index("how far?") < shown.index("farther")


def test_a_reply_can_not_drive_the_terminal(run, capsys):
    shown = view(capsys, run, "--step", 5)
    assert "\x1b" not in shown
    assert "\\x1b[2Jboo" in shown
    assert "[bold]" in shown  # nor is it markup


def test_filters(run, capsys):
    assert steps(capsys, run) == [1, 1, 5, 9]
    assert steps(capsys, run, "--stage", "grpo") == [1, 5, 9]
    assert steps(capsys, run, "--stage", "grpo", "--step", "2-9") == [5, 9]
    assert steps(capsys, run, "--right") == [1]
    assert steps(capsys, run, "--wrong") == [1, 9]  # an unjudged one is neither
    assert steps(capsys, run, "--env", "other") == [9]
    assert steps(capsys, run, "--env", "arithmetic") == [1, 1, 5]


def test_json_gives_the_episodes_back(run, capsys):
    kept = [json.loads(line) for line in view(capsys, run, "--json").split("\n") if line]
    assert kept == [{"env": "rlenv/Arithmetic-v0", **episode} for episode in KEPT]


def test_a_run_as_the_trainer_left_it(finished_run, capsys):
    shown = view(capsys, finished_run, "--stage", "grpo", "--step", "1-2")
    assert "grpo, step 1" in shown
    assert "digits" in shown


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["{run}/nowhere"], "holds no run"),
        (["{run}", "--stage", "gpro"], "Did you mean grpo?"),
        (["{run}", "--step", "few"], "a number or a range"),
        (["{run}", "--step", "77"], "none of the 4 episodes"),
    ],
)
def test_bad_input(run, capsys, words, says):
    assert main.main(["view", *(w.format(run=run) for w in words)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert says in error


def test_a_run_without_episodes(run, capsys):
    (run / "episodes.jsonl").unlink()
    assert main.main(["view", str(run)]) == 2
    assert "has kept no episodes" in capsys.readouterr().err


def test_paging_with_keys(run):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "rlenv", "view", str(run)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(theirs)

    def shows(text):
        """Wait for a card, then for the line of keys below it."""
        seen, until = "", time.monotonic() + 60
        while not (text in seen and "quit" in seen.rpartition(text)[2]):
            assert select.select([ours], [], [], max(0.0, until - time.monotonic()))[0], seen
            seen += os.read(ours, 65536).decode()

    try:
        shows("1 of 4")
        for key, number in [("\x1b[C", 2), ("G", 4), ("p", 3), ("g", 1), ("nn", 3)]:
            os.write(ours, key.encode())
            shows(f"{number} of 4")
        os.write(ours, b"q")
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
