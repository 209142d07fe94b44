import json
import subprocess
import sys

import pytest

from rlenv import eval as evaluation
from tests.conftest import DIGITS, ROOT

ENV = "rlenv/Arithmetic-v0"
FEW = ["--tasks", "10", "--samples", "2", "--max-tokens", "4"]


def test_evaluates_a_checkpoint(finished_run, capsys, tmp_path):
    output = tmp_path / "out.json"
    code = evaluation.main(
        [str(finished_run / "sft"), ENV, "--split", "test", *FEW, "--output", str(output)]
    )
    printed = capsys.readouterr().out
    assert code == 0
    for word in ("pass@1", "95% interval", "truncated", "grader errors", "test split"):
        assert word in printed
    kept = json.loads(output.read_text())
    assert len(kept["samples"]) == 20
    assert kept["summary"]["pass_at_1"] == sum(s["solved"] for s in kept["samples"]) / 20


def test_agrees_with_the_runs_own_results(finished_run, capsys):
    env = f"{DIGITS}:Digits-v0"
    assert (
        evaluation.main(
            [
                str(finished_run / "grpo"),
                env,
                "--json",
                "--tasks",
                "12",
                "--samples",
                "2",
                "--max-tokens",
                "4",
            ]
        )
        == 0
    )
    ours = json.loads(capsys.readouterr().out)
    (theirs,) = [
        r for r in json.loads((finished_run / "results.json").read_text()) if r["stage"] == "grpo"
    ]
    for name in ("pass_at_1", "ci_low", "ci_high", "greedy", "fingerprint", "tokens"):
        assert ours[name] == theirs[name]


def test_any_registered_environment(finished_run, capsys, tmp_path):
    path = tmp_path / "copycat.py"
    path.write_text(
        "import rlenv\n"
        "@rlenv.register('demo/Copy-v0')\n"
        "class Copy(rlenv.SingleTurnEnv):\n"
        "    def generate(self, rng):\n"
        "        n = str(rng.randrange(10000))\n"
        "        return rlenv.Task(n, answer=n)\n"
        "    def score(self, task, reply): return reply == task.answer\n"
    )
    assert evaluation.main([str(finished_run / "sft"), f"{path}:Copy-v0", *FEW]) == 0
    assert "demo/Copy-v0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{run}/sft", "rlenv/Arithmetics-v0"], "rlenv/Arithmetic-v0"),
        (["{run}/sft", ENV, "--split", "train"], "held-out"),
        (["{run}/sft", ENV, "--split", "tset"], "Did you mean test"),
        (["{run}/sft", ENV, "--tasks", "0"], "--tasks is at least 1"),
        (["{run}/sft", ENV, "--option", "level=77"], "level is 1 to 6"),
        (["{run}/nowhere", ENV], "does not exist"),
        (["{run}/tokenizer", ENV], "holds no checkpoint"),
        (["{run}/sft", ENV, "--device", "cuda"], "no GPU"),
        (["{run}/sft", ENV, "--output", "/no/such/folder/x.json"], "does not exist"),
    ],
)
def test_bad_input_ends_in_one_sentence(finished_run, capsys, arguments, says):
    filled = [a.format(run=finished_run) for a in arguments]
    assert evaluation.main(filled) == 2
    errors = capsys.readouterr().err
    assert says in errors
    assert errors.startswith("error: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["-c", "import rlenv"],
        ["-m", "rlenv.train", "--help"],
        ["-m", "rlenv.eval", "--help"],
        ["-m", "rlenv.cli", "--help"],
    ],
)
def test_no_torch_before_it_is_needed(arguments):
    code = (
        "import sys, runpy, atexit\n"
        "atexit.register(lambda: print('LOADED', 'torch' in sys.modules))\n"
        f"arguments = {arguments!r}\n"
        "sys.argv = arguments[1:]\n"
        "if arguments[0] == '-c': exec(arguments[1])\n"
        "else: runpy.run_module(arguments[1], run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert "LOADED False" in done.stdout, done.stdout + done.stderr
