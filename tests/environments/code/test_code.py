"""The environments: tasks, replies, rewards, tries."""

from __future__ import annotations

import copy
import json
import pickle
import random

import pytest

import rlenv
from rlenv.common.errors import UserError
from rlenv.conformance import CheckSettings, run
from rlenv.environments.code import family
from rlenv.environments.code.problem import CodeProblem

ROWS = [
    {
        "prompt": f"Write a function that adds {n}.",
        "entry_point": "f",
        "tests": [
            f"assert f(0) == {n}",
            {"input": [5], "output": 5 + n},
            f"assert f(-1) == {n - 1}",
        ],
        "solution": f"def f(x):\r\n    return x + {n}",
    }
    for n in range(1, 60)
]


@pytest.mark.parametrize("level", family.LEVELS)
def test_generated_functions_pass_their_own_tests(level):
    env = rlenv.make("rlenv/Code-v0", level=level)
    for number in range(8):
        task = env.tasks[number]
        reply = env.demonstrate(task, task.prompt)
        assert env.score(task, reply).components == {
            "correct": 1.0,
            "share": 1.0,
            "compiles": 1.0,
            "format": 1.0,
        }
        assert env.audit(task, reply)
        problem = CodeProblem.of(task.metadata)
        assert not {*problem.tests} & {*problem.audit}
        assert not any(test in task.question for test in problem.tests)
        assert all(test in task.question for test in problem.examples)
        assert json.loads(json.dumps(task.metadata)) == task.metadata
        assert env.score(task, "def f(x):\n    return x").value == 0.0


def test_functions_that_do_the_same_are_one_task():
    seen: dict[str, set[str]] = {}
    env = rlenv.make("rlenv/Code-v0", level=2, instructions=False)
    rng = random.Random(0)
    for _ in range(3000):
        task = env.generate(rng)
        seen.setdefault(task.key, set()).add(task.question.partition(": ")[2])
    several = [words for words in seen.values() if len(words) > 1]
    assert several  # adding 3 and 4 is adding 4 and 3
    assert all(
        len({*w.split()} ^ {*words[0].split()}) < 12 for words in map(list, several) for w in words
    )


def test_the_words_and_the_code_agree():
    level = family.LEVELS[2]
    rng = random.Random(1)
    for _ in range(200):
        function = family.draw(level, rng)
        namespace: dict = {}
        exec(function.solution, namespace)
        for test in (*function.problem.tests, *function.problem.examples, *function.problem.audit):
            exec(test, namespace)


def test_rows():
    env = rlenv.make("rlenv/Code-v0", rows=ROWS, shown=1)
    task = env.tasks[0]
    problem = CodeProblem.of(task.metadata)
    assert len(problem.examples) == 1
    assert len(problem.tests) == 2
    assert problem.examples[0] in task.question
    assert "\r" not in problem.solution
    assert env.score(task, env.demonstrate(task, task.prompt)).value == 1.0
    hidden = rlenv.make("rlenv/Code-v0", rows=ROWS, shown=0).tasks[0]
    assert hidden.key == task.key
    assert "assert" not in hidden.question


def test_columns_and_guessed_entry_points():
    rows = [
        {
            "text": "Add one.",
            "test_list": ["assert g(1) == 2"],
            "code": "def h(): pass\ndef g(x): return x + 1",
        }
    ]
    env = rlenv.make(
        "rlenv/Code-v0",
        rows=rows,
        columns={"prompt": "text", "tests": "test_list", "solution": "code"},
    )
    task = env.from_row(rows[0])
    assert CodeProblem.of(task.metadata).entry_point == "g"


def test_scripts():
    row = {
        "prompt": "Print the square of the number.",
        "tests": [{"stdin": "2\n", "stdout": "4\n"}, {"stdin": "3\n", "stdout": "9\n"}],
    }
    env = rlenv.make("rlenv/Code-v0", rows=[row])
    task = env.from_row(row)
    assert "Input:\n2\nOutput:\n4" in task.question
    assert "9" not in task.question
    assert env.score(task, "```python\nprint(int(input()) ** 2)\n```").value == 1.0
    assert env.score(task, "```python\nprint(4)\n```").components["share"] == 0.0


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"prompt": "x"}, "either an entry_point"),
        ({"prompt": "x", "entry_point": "f"}, "at least one hidden test"),
        ({"prompt": "x", "entry_point": "f", "tests": ["assert f("]}, "no Python"),
        ({"prompt": "x", "entry_point": "f", "tests": [{"input": 3, "output": 3}]}, "list of the"),
        ({"prompt": "x", "entry_point": "f", "tests": [3]}, "a test is an assert"),
        ({"prompt": "x", "tests": ["assert f(1)"], "solution": "def g(): pass"}, "call none of"),
        ({"entry_point": "f"}, "no column 'prompt'"),
    ],
)
def test_bad_rows_end_in_one_sentence(row, says):
    with pytest.raises(UserError, match=says):
        _ = rlenv.make("rlenv/Code-v0", rows=[row]).tasks


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"level": 7}, "level is 1 to 6"),
        ({"columns": {"test": "x"}}, "Did you mean tests?"),
        ({"seconds": 0}, "seconds above 0"),
        ({"rubric": {"corect": 1.0}}, "Did you mean correct?"),
    ],
)
def test_bad_options_end_in_one_sentence(options, says):
    with pytest.raises(UserError, match=says.replace("?", r"\?")):
        rlenv.make("rlenv/Code-v0", **options)


REPLIES = {
    "```python\ndef f(x):\n    return x + 1\n```": (1.0, 1.0, 1.0, "ok"),
    "Sure.\n```python\ndef f(x):\n    return x + 1\n```\nDone.": (1.0, 1.0, 1.0, "ok"),
    "<think>```python\nnonsense(\n```</think>```py\ndef f(x): return x + 1\n```": (
        1.0,
        1.0,
        1.0,
        "ok",
    ),
    "def f(x): return x + 1": (1.0, 1.0, 0.0, "ok"),
    "```python\ndef f(x): return x\n```\n```python\ndef f(x): return x + 1\n```": (
        1.0,
        1.0,
        0.0,
        "ok",
    ),
    "```python\ndef f(x): return x + 1\n```\n```python\ndef f(x): return x\n```": (
        0.0,
        1.0,
        0.0,
        "ok",
    ),
    "```python\ndef f(x): return x\n```": (0.0, 1.0, 1.0, "ok"),
    "```python\ndef f(x: return x\n```": (0.0, 0.0, 0.0, "ok"),
    "```python\n```": (0.0, 0.0, 0.0, "unparseable"),
    "It adds one to x.": (0.0, 0.0, 0.0, "unparseable"),
    "": (0.0, 0.0, 0.0, "unparseable"),
    "```python\nwhile True: pass\n```": (0.0, 1.0, 1.0, "timeout"),
    "<think>def f(x): return x + 1": (0.0, 0.0, 0.0, "unparseable"),
    "\ud800": (0.0, 0.0, 0.0, "unparseable"),
    "x = '\0'": (0.0, 0.0, 0.0, "unparseable"),
}


@pytest.mark.parametrize("reply", REPLIES)
def test_verdicts(reply):
    env = rlenv.make("rlenv/Code-v0", rows=ROWS[:1], seconds=0.5)
    reward = env.score(env.from_row(ROWS[0]), reply)
    parts = reward.components
    assert (parts["correct"], parts["compiles"], parts["format"], reward.status) == REPLIES[reply]
    assert reward.value == parts["correct"]


def test_tries():
    env = rlenv.make("rlenv/CodeRepair-v0", rows=ROWS, feedback=300)
    task = env.from_row(ROWS[4])
    env.reset(options={"task": task})
    said, reward, over, _, info = env.step("```python\ndef f(x):\n    return x + y\n```")
    assert (reward, over) == (0.0, False)
    assert "assert f(0) == 5" in said
    assert "NameError: name 'y' is not defined" in said
    said, _, over, _, _ = env.step("```python\ndef f(x):\n    return x\n```")
    assert not over
    assert "f(0) returned 0" in said
    assert "10" not in said
    _, reward, over, truncated, info = env.step(env.demonstrate(task, info["messages"]))
    assert (reward, over, truncated) == (1.0, True, False)

    env.reset(options={"task": task})
    # right on the shown test, wrong on the hidden ones: there is nothing to be told
    _, reward, over, _, _ = env.step("def f(x): return 5")
    assert (reward, over) == (0.0, True)

    env.reset(options={"task": task})
    for _ in range(3):
        _, reward, over, truncated, _ = env.step("")
    assert (reward, over, truncated) == (0.0, True, False)


def test_feedback_is_capped():
    env = rlenv.make("rlenv/CodeRepair-v0", rows=ROWS, feedback=200)
    env.reset(options={"task": env.from_row(ROWS[0])})
    said = env.step("def f(x): return 'a' * 100_000")[0]
    assert 150 < len(said) < 220


def test_announced_replies_are_judged_ahead():
    env = rlenv.make("rlenv/Code-v0", rows=ROWS)
    task = env.tasks[3]
    env.reset(options={"task": task})
    reply = env.demonstrate(task, task.prompt) + "\nannounced"
    env.announce(reply)
    env.announce("")
    problem = CodeProblem.of(task.metadata)
    pending = env.grader.submit(problem, problem.program(problem.solution))
    assert env.step(reply)[1] == 1.0
    assert pending.result().passed


@pytest.mark.parametrize("order", [[], [0, 1, 2, 3], [3, 1, 0, 2]], ids=repr)
def test_rewards_are_the_same_whatever_was_announced_and_when(order):
    task = rlenv.make("rlenv/Code-v0", rows=ROWS, seconds=0.3).tasks[3]
    right = task.answer
    replies = [right, right.replace("return", "return 1 +"), "def f(x", "while True: pass"]
    replies = [f"```python\n{code}\n# {order}\n```" for code in replies]  # not judged before
    envs = [rlenv.make("rlenv/Code-v0", rows=ROWS, seconds=0.3) for _ in replies]
    for env in envs:
        env.reset(options={"task": task})
    for n in order:
        envs[n].announce(replies[n])
    rewards = [env.step(reply)[4]["reward"] for env, reply in zip(envs, replies, strict=True)]
    assert [reward.value for reward in rewards] == [1.0, 0.0, 0.0, 0.0]
    assert [reward.components["compiles"] for reward in rewards] == [1.0, 1.0, 0.0, 1.0]
    assert [reward.status for reward in rewards] == ["ok", "ok", "ok", "timeout"]


def test_copies_go_on():
    env = rlenv.make("rlenv/CodeRepair-v0", rows=ROWS)
    env.reset(seed=3)
    env.step("nonsense(")
    for other in (pickle.loads(pickle.dumps(env)), copy.deepcopy(env)):
        assert other.step("def f(x): return 0") is not None


@pytest.mark.parametrize(
    ("ref", "options"),
    [
        ("rlenv/Code-v0", {}),
        ("rlenv/Code-v0", {"level": 6, "instructions": False}),
        ("rlenv/CodeRepair-v0", {"level": 4}),
    ],
)
def test_conformance(ref, options):
    settings = CheckSettings(tasks=4, draws=300, seconds=2.0, processes=1)
    failed = [o for o in run(ref, options, settings) if o.status == "fail"]
    assert not failed
