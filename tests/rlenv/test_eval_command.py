import json
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from rlenv.cli import eval as evaluation
from rlenv.cli import main
from rlenv.core.rows import load_rows
from rlenv.evaluation import LocalPlayer
from rlenv.evaluation.folder import EvaluationFolder
from rlenv.evaluation.model_under_test import load_model
from rlenv.evaluation.samples import read_samples
from rlenv.models.chat_format import ChatFormat
from tests.conftest import DIGITS, ROOT

ENV = "rlenv/Arithmetic-v0"
FEW = ["--tasks", "10", "--samples", "2", "--max-tokens", "4"]


def test_a_large_model_is_kept_in_smaller_steps(finished_run, monkeypatch, tmp_path):
    """Of some hundred million parameters: what is done is not lost for the sake of what is not."""
    model = load_model(str(finished_run / "sft"), device="cpu")
    assert model.player(None).batch_size == 512
    monkeypatch.setattr("transformers.PreTrainedModel.num_parameters", lambda self: 135_000_000)
    kept = []
    real = EvaluationFolder.append

    def recorded(folder, samples):
        kept.append(len(samples))
        real(folder, samples)

    monkeypatch.setattr(EvaluationFolder, "append", recorded)
    asked = [str(finished_run / "sft"), ENV, "--tasks", "70", "--max-tokens", "4"]
    assert evaluation.main([*asked, "--temperature", "0", "--output", str(tmp_path / "out")]) == 0
    assert kept == [32, 32, 6]


def test_evaluates_a_checkpoint(finished_run, capsys, tmp_path):
    output = tmp_path / "out"
    code = evaluation.main(
        [str(finished_run / "sft"), ENV, "--split", "test", *FEW, "--output", str(output)]
    )
    printed = capsys.readouterr().out
    assert code == 0
    for word in ("pass@1", "pass^2", "95% interval", "cut off", "not judged", "test split"):
        assert word in printed
    result = json.loads((output / "result.json").read_text())
    rows = load_rows(output / "samples.parquet")  # any reader of Parquet does
    sampled = [row for row in rows if not row["greedy"]]
    assert len(sampled) == 20
    assert len(rows) == 30
    assert result["pass_at_1"] == sum(row["solved"] for row in sampled) / 20
    assert result["estimates"]["pass@1"]["value"] == result["pass_at_1"]
    assert result["tokens"] == sum(row["tokens"] for row in rows)
    for name in ("fingerprint", "env_version", "libraries", "temperature", "model"):
        assert result[name]


@pytest.fixture
def command(finished_run, tmp_path):
    """The arguments of a small evaluation that is kept in tmp_path/kept."""
    return [str(finished_run / "sft"), ENV, *FEW, "--output", str(tmp_path / "kept")]


def test_an_interrupted_evaluation_goes_on_where_it_was(command, capsys, tmp_path, monkeypatch):
    whole = tmp_path / "kept"
    assert evaluation.main([*command, "--batch", "4"]) == 0
    expected = read_samples(whole / "samples.parquet")
    whole.rename(tmp_path / "whole")

    play, calls = LocalPlayer.play, []

    def interrupted(self, *arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return play(self, *arguments)

    monkeypatch.setattr(LocalPlayer, "play", interrupted)
    assert evaluation.main([*command, "--batch", "4"]) == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert not (whole / "result.json").exists()
    assert evaluation.main([*command, "--batch", "6"]) == 0
    capsys.readouterr()
    episodes = [len(tasks) * samples for _, tasks, samples, *_ in calls]
    assert sum(episodes) == 30 + episodes[2]  # nothing was played twice but what was interrupted
    found = read_samples(whole / "samples.parquet")
    assert [replace(s, seconds=0.0) for s in found] == [replace(s, seconds=0.0) for s in expected]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["--temperature", "0.5"], "temperature"),
        (["--system", "Add."], "system"),
        (["--option", "level=2"], "fingerprint"),
        (["--split", "validation"], "split"),
    ],
)
def test_going_on_with_other_settings_is_refused(command, capsys, change, says):
    assert evaluation.main(command) == 0
    assert evaluation.main([*command, *change]) == 2
    error = capsys.readouterr().err
    assert "other settings" in error
    assert says in error


def test_another_checkpoint_under_the_same_name_is_refused(command, capsys, run_copy):
    command = [str(run_copy / "sft"), *command[1:]]
    assert evaluation.main(command) == 0
    shutil.copy(run_copy / "grpo/model.safetensors", run_copy / "sft/model.safetensors")
    assert evaluation.main(command) == 2
    assert "model.digest" in capsys.readouterr().err


def test_a_finished_evaluation_is_only_shown_again(command, capsys, monkeypatch):
    assert evaluation.main([*command, "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    monkeypatch.setattr(LocalPlayer, "play", None)
    assert evaluation.main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == first


@pytest.fixture
def at_0(finished_run, tmp_path):
    """The arguments of a small evaluation at temperature 0 that is kept in tmp_path/at-0."""
    few = ["--tasks", "10", "--max-tokens", "4", "--temperature", "0"]
    return [str(finished_run / "sft"), ENV, *few, "--output", str(tmp_path / "at-0")]


def test_temperature_0_takes_the_greedy_reply_of_each_task(command, at_0, capsys, tmp_path):
    assert evaluation.main(command) == 0
    capsys.readouterr()
    assert evaluation.main(at_0) == 0
    assert "10 tasks x 1 sample at temperature 0\n" in capsys.readouterr().out
    sampled, found = (
        read_samples(tmp_path / name / "samples.parquet") for name in ("kept", "at-0")
    )
    greedy = [s for s in sampled if s.greedy]
    assert [replace(s, seconds=0.0, greedy=True) for s in found] == [
        replace(s, seconds=0.0) for s in greedy
    ]
    assert not any(s.greedy for s in found)
    beside, result = (
        json.loads((tmp_path / name / "result.json").read_text()) for name in ("kept", "at-0")
    )
    assert (result["temperature"], result["samples"], result["greedy"]) == (0, 1, None)
    assert result["estimates"]["pass@1"] == beside["estimates"]["greedy"]
    assert "component/correct" in result["estimates"]


def test_replies_at_temperature_0_are_reported_compared_and_rescored(
    command, at_0, capsys, tmp_path
):
    assert evaluation.main(command) == 0
    assert evaluation.main([*at_0, "--samples", "1"]) == 0
    capsys.readouterr()
    kept, found = str(tmp_path / "kept"), str(tmp_path / "at-0")
    assert main.main(["rescore", found]) == 0
    said = capsys.readouterr().out
    assert "0 of 10 verdicts changed" in said
    assert "at temperature 0" in said
    assert main.main(["compare", found, f"{found}-rescored", "--json"]) == 0
    same = json.loads(capsys.readouterr().out)
    assert (same["tasks"], same["difference"]["value"]) == (10, 0.0)
    assert main.main(["compare", kept, found]) == 0
    assert "10 tasks" in capsys.readouterr().out
    for folders in ([found], [found, kept]):
        assert main.main(["report", *folders]) == 0
        assert "pass@1" in (tmp_path / "at-0/report.html").read_text()


def test_an_evaluation_at_temperature_0_goes_on_where_it_was(at_0, capsys, monkeypatch):
    assert evaluation.main([*at_0, "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    monkeypatch.setattr(LocalPlayer, "play", None)
    assert evaluation.main([*at_0, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == first


@pytest.fixture
def processor(monkeypatch):
    """What the processor can do, to be changed."""
    can = {"avx512_bf16": True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: can)
    return can


def test_a_model_generates_in_bfloat16(command, capsys, tmp_path, monkeypatch, processor):
    play, dtypes = LocalPlayer.play, []

    def watched(self, *arguments):
        dtypes.append(self.engine.dtype)
        return play(self, *arguments)

    monkeypatch.setattr(LocalPlayer, "play", watched)
    assert evaluation.main([*command, "--dtype", "bfloat16"]) == 0
    assert set(dtypes) == {torch.bfloat16}
    settings = json.loads((tmp_path / "kept/settings.json").read_text())
    assert settings["model"]["dtype"] == "bfloat16"
    capsys.readouterr()
    assert evaluation.main(command) == 2
    assert "different: model.dtype)" in capsys.readouterr().err


def test_without_a_dtype_settings_are_as_before_there_was_a_choice(command, tmp_path):
    assert evaluation.main([*command, "--dtype", "model"]) == 0
    assert evaluation.main(command) == 0
    settings = json.loads((tmp_path / "kept/settings.json").read_text())
    assert settings["model"]["dtype"] == "float32"
    assert "dtype" not in settings


def test_a_processor_without_bfloat16_leaves_no_folder(command, capsys, tmp_path, processor):
    processor["avx512_bf16"] = False
    assert evaluation.main([*command, "--dtype", "bfloat16"]) == 2
    assert "cpu has no bfloat16 instructions" in capsys.readouterr().err
    assert not (tmp_path / "kept").exists()


def test_a_system_message_opens_every_conversation(finished_run, chat):
    plain = chat.prompt([{"role": "user", "content": "1 + 2 = ?"}])
    told = ChatFormat(chat.tokenizer, system="Add.")
    both = chat.prompt(
        [{"role": "system", "content": "Add."}, {"role": "user", "content": "1 + 2 = ?"}]
    )
    assert told.prompt([{"role": "user", "content": "1 + 2 = ?"}]) == both != plain


def test_several_environments(command, capsys, tmp_path):
    envs = [ENV, f"{DIGITS}:Digits-v0"]
    rest = ["--no-greedy", "--json", "--output", str(tmp_path / "two")]
    assert evaluation.main([command[0], *envs, *FEW, *rest]) == 0
    results = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [r["greedy"] for r in results] == [None, None]
    assert {p.name for p in (tmp_path / "two").iterdir()} == {
        "Arithmetic-v0-test",
        "Digits-v0-test",
    }


def test_too_many_grader_errors_make_a_result_invalid(finished_run, capsys, tmp_path):
    path = tmp_path / "shaky.py"
    path.write_text(
        "import rlenv\n"
        "@rlenv.register('demo/Shaky-v0')\n"
        "class Shaky(rlenv.SingleTurnEnv):\n"
        "    def generate(self, rng):\n"
        "        return rlenv.Task(str(rng.randrange(10000)))\n"
        "    def score(self, task, reply):\n"
        "        if int(task.question) % 2: raise OSError('no connection')\n"
        "        return 1.0\n"
    )
    command = [str(finished_run / "sft"), f"{path}:Shaky-v0", *FEW, "--output"]
    assert evaluation.main([*command, str(tmp_path / "a")]) == 1
    said = capsys.readouterr()
    assert "INVALID" in said.out
    assert "no connection" in said.err
    result = json.loads((tmp_path / "a/result.json").read_text())
    assert result["invalid"]
    assert result["pass_at_1"] == 1.0  # what was not judged does not count as wrong
    assert evaluation.main([*command, str(tmp_path / "b"), "--max-grader-errors", "0.9"]) == 0


def test_agrees_with_the_runs_own_results(finished_run, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
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


def test_any_registered_environment(finished_run, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
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
        (["{run}/sft", ENV, "--tasks", "0"], "tasks: input should be greater than or equal to 1"),
        (["{run}/sft", ENV, "--temperature", "-1"], "temperature: input should be greater"),
        (
            ["{run}/sft", ENV, "--temperature", "0", "--samples", "2"],
            "all samples at temperature 0 would be alike",
        ),
        (["{run}/sft", ENV, "--dtype", "float16"], "dtype: input should be 'model' or 'bfloat16'"),
        (
            ["openai:m@http://localhost:9/v1", ENV, "--dtype", "bfloat16"],
            "m@http://localhost:9/v1 is an endpoint",
        ),
        (["{run}/sft", ENV, "--option", "level=77"], "level is 1 to 6"),
        (["{run}/nowhere", ENV], "does not exist"),
        (["{run}/tokenizer", ENV], "holds no checkpoint"),
        (["{run}/sft", ENV, "--device", "cuda"], "no GPU"),
        (["{run}/sft", ENV, "--output", "{run}/config.yaml/below/it"], "give another --output"),
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
        ["-m", "rlenv", "--help"],
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
