"""Fail unless an install without extras does what authors of environments need.

Run by .ci/light in an empty folder, with the Python of an environment that holds nothing else.
"""

import importlib.metadata
import json
import os
import random
import resource
import subprocess
import sys
from pathlib import Path

import rlenv
from rlenv.common.extras import EXTRAS, installed, pip_install

AVAILABLE = (
    "rlenv/Arithmetic-v0",
    "rlenv/Code-v0",
    "rlenv/CodeRepair-v0",
    "rlenv/Countdown-v0",
    "rlenv/PythonTool-v0",
    "rlenv/SearchQA-v0",
    "rlenv/Wordle-v0",
)
TRAINING = (
    ("train", "tiny.yaml"),
    ("eval", "checkpoint", "rlenv/Arithmetic-v0"),
    ("play", "rlenv/Arithmetic-v0", "--policy", "checkpoint"),
    ("compare", "a=checkpoint", "b=checkpoint", "--prompts", "text.txt"),
    ("compare", "evaluation", "evaluation"),
    ("bits", "checkpoint", "--text", "text.txt"),
    ("next", "--model", "checkpoint", "Hello"),
    ("synthesize", "checkpoint", "--env", "rlenv/Arithmetic-v0", "--output", "talks.jsonl"),
    ("plan", "--flops", "1e15"),
    ("data", "inspect", "text.txt"),
    ("data", "run", "pipeline.yaml"),
    ("report", "evaluation"),
    ("rescore", "evaluation"),
    ("probe", "checkpoint", "rlenv/Arithmetic-v0"),
    ("redteam", "checkpoint"),
)
SECONDS = 0.3


def rlenv_command(*words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """Run `rlenv WORDS`."""
    command = [Path(sys.executable).with_name("rlenv"), *words]
    return subprocess.run(command, input=typed, capture_output=True, text=True, timeout=600)


def works(*words: str, typed: str = "") -> str:
    """Run a command that has to work, and return what it prints."""
    done = rlenv_command(*words, typed=typed)
    if done.returncode != 0:
        sys.exit(f"rlenv {' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    print(f"ok      rlenv {' '.join(words)}")
    return done.stdout


def check_packages() -> None:
    """Nothing that comes with an extra is here."""
    assert not [module for module in EXTRAS if installed(module)]
    required = importlib.metadata.requires("verifiable-rl") or []
    print(
        f"packages {len(list(importlib.metadata.distributions()))}, direct "
        f"{len([one for one in required if 'extra ==' not in one])}"
    )


def check_environments() -> None:
    """All are listed, and those that need nothing more are played to their full reward."""
    rows = json.loads(works("list", "--json"))
    unloadable = [row for row in rows if "not installed" in row["what"]]
    assert len(rows) > 100, len(rows)
    assert not unloadable, unloadable
    for id in AVAILABLE:
        for split in ("train", "test"):
            env = rlenv.make(id, split=split)
            _, info = env.reset(seed=0)
            total, over = 0.0, False
            while not over:
                reply = env.demonstrate(env.task, info["messages"])
                _, reward, terminated, truncated, info = env.step(reply)
                total, over = total + float(reward), terminated or truncated
            assert info["reward"].status == "ok", (id, info["reward"])
            assert total >= env.solved_at, (id, total)
        print(f"ok      {id}")


def check_commands() -> None:
    """What an author does: look, check, play, begin a package."""
    works("show", "rlenv/Wordle-v0")
    quick = ("--tasks", "8", "--draws", "1000")
    for id in ("rlenv/Arithmetic-v0", "rlenv/Wordle-v0", "rlenv/Code-v0"):
        works("check", id, *quick)
    episode = json.loads(works("play", "rlenv/Arithmetic-v0", "--seed", "0", "--json", typed="0\n"))
    assert episode["status"] == "ok", episode
    works("init", "my-env")
    works("check", "my-env/my_env/environment.py:my_env/MyEnv-v0", *quick)


def check_verifiers_and_rows() -> None:
    """Answers are compared, programs are run, and rows are read."""
    from rlenv.environments.math.check import check_answer
    from rlenv.sandbox import Sandbox

    assert check_answer(r"so it is \boxed{\frac{1}{2}}", "0.5").value == 1.0
    with Sandbox() as sandbox:
        assert sandbox.run("print(6 * 7)").stdout == "42\n"
    rows = [{"prompt": f"What is {n} + 1?", "answer": f"#### {n + 1}"} for n in range(50)]
    lines = [json.dumps(row) for row in rows]
    Path("rows.jsonl").write_text("\n".join(lines))
    Path("rows.json").write_text(json.dumps(rows))
    table = [f"{row['prompt']},{row['answer']}" for row in rows]
    Path("rows.csv").write_text("\n".join(["prompt,answer", *table]))
    tasks = [
        [task.question for task in rlenv.make("rlenv/MathWord-v0", rows=name).tasks.distinct(9)]
        for name in ("rows.jsonl", "rows.json", "rows.csv")
    ]
    assert len(tasks[0]) == 9, tasks
    assert tasks[0] == tasks[1] == tasks[2], tasks


def check_sentences() -> None:
    """What needs an extra says so in one sentence and with exit code 2."""
    Path("text.txt").write_text("A line of text.\n" * 20)
    Path("tiny.yaml").write_text(
        "run_dir: run\nenv: rlenv/Arithmetic-v0\nstages:\n  tokenizer: {corpus: [tasks]}\n"
    )
    Path("pipeline.yaml").write_text("input: [text.txt]\nout: clean\nsteps: {minhash: {}}\n")
    # what is looked at before a checkpoint or the samples of an evaluation are loaded
    for folder, name, text in (
        ("checkpoint", "config.json", '{"model_type": "llama"}'),
        ("checkpoint", "tokenizer_config.json", '{"chat_template": ""}'),
        ("evaluation", "result.json", "{}"),
        ("evaluation", "samples.parquet", ""),
    ):
        Path(folder).mkdir(exist_ok=True)
        Path(folder, name).write_text(text)
    for words in TRAINING:
        done = rlenv_command(*words)
        said = done.stderr.strip().splitlines()
        told = (
            len(said) == 1
            and said[0].startswith("error: ")
            and said[0].endswith(pip_install("train"))
        )
        if done.returncode != 2 or not told:
            sys.exit(f"rlenv {' '.join(words)} ended with {done.returncode} and:\n{done.stderr}")
        print(f"told    rlenv {' '.join(words)}")


def check_import() -> None:
    """`import rlenv` is quick: processor time, which a busy machine changes little."""

    def seconds(code: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    took = sorted(seconds("import rlenv") for _ in range(9))[4]
    print(f"import rlenv takes {took:.2f} s of processor time, Python's own start included")
    assert took < SECONDS


if __name__ == "__main__":
    os.environ["COLUMNS"] = "100"
    random.seed(0)
    check_packages()
    check_import()
    check_environments()
    check_verifiers_and_rows()
    check_commands()
    check_sentences()
