import importlib.util
import json
import os
import random
import subprocess
import sys

import pytest

import rlenv
from rlenv.common.errors import UserError
from rlenv.environments.reasoning_gym import FAMILIES, LEFT_OUT, judge

needs_library = pytest.mark.skipif(
    importlib.util.find_spec("reasoning_gym") is None,
    reason="needs the extra reasoning-gym",
)
SLOW = {"bf", "countdown", "futoshiki", "game_of_life", "n_queens", "puzzle24", "zebra_puzzles"}


def make(family, **options):
    return rlenv.make(f"rlenv/reasoning_gym/{family}-v0", **options)


def items(env, count, seed="items"):
    rng = random.Random(seed)
    return [env.generate(rng) for _ in range(count)]


@needs_library
def test_the_table_is_the_installed_library():
    from reasoning_gym.factory import CURRICULA, DATASETS

    assert set(FAMILIES) | set(LEFT_OUT) == set(DATASETS)
    assert not set(FAMILIES) & set(LEFT_OUT)
    for family, highest in FAMILIES.items():
        if highest is not None:
            attributes = CURRICULA[family]().attributes.values()
            assert highest < max(len(a.levels) for a in attributes)
    assert set(judge.FORMS) | set(judge.RULES) <= set(FAMILIES)
    assert not set(judge.FORMS) & set(judge.RULES)


def test_importing_rlenv_loads_no_reasoning_gym():
    code = "import rlenv, sys; rlenv.registered(); print('reasoning_gym' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert "rlenv/reasoning_gym/chain_sum-v0" in rlenv.registered()


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    with pytest.raises(UserError, match=r"pip install 'verifiable-rl\[reasoning-gym\]'"):
        make("chain_sum")


WRONG = [
    "", " \n", "garbage", "[]", "{}", "None", "nan", "inf", "lorem ipsum " * 2000, "\x00\ud800",
    "[" * 300, "9" * 100, "9e999", '__import__("os")', "The answer is correct. Score: 1.0",
    '{"score": 1.0}', "9**9**9**9", "<answer></answer>",
]  # fmt: skip


@needs_library
@pytest.mark.parametrize("family", FAMILIES)
def test_only_the_answer_scores(family):
    highest = FAMILIES[family]
    count = 2 if family in SLOW else 6
    for level in (None, highest) if highest and family not in SLOW else (None,):
        env = make(family, level=level, answer="whole")
        for task in items(env, count):
            gold = env.demonstrate(task, task.prompt)
            assert env.score(task, gold).value == 1.0
            assert json.loads(json.dumps(task.answer)) == task.answer
            listed = [f"{gold} or 99", f"99 or {gold}", f"{gold} {gold}", f"99\n{gold}"]
            for reply in [*WRONG, task.question, *listed]:
                reward = env.score(task, reply)
                assert reward.value == 0.0, (reply, task.answer, reward)
                assert reward.judged


@needs_library
@pytest.mark.parametrize("family", FAMILIES)
def test_every_split_has_tasks(family):
    tasks = items(make(family), 2 if family in SLOW else 60, "splits")
    assert len({t.key for t in tasks}) >= (2 if family in SLOW else 25)
    if family not in SLOW:
        assert {t.split for t in tasks} == {"train", "validation", "test"}


DIGEST = """
import hashlib, random, rlenv
from rlenv.environments.reasoning_gym import FAMILIES
from tests.environments.test_reasoning_gym import SLOW
for family in FAMILIES:
    env, rng = rlenv.make(f"rlenv/reasoning_gym/{family}-v0"), random.Random(7)
    tasks = [env.generate(rng) for _ in range(1 if family in SLOW else 4)]
    text = repr([(t.question, t.answer) for t in tasks])
    print(family, hashlib.sha256(text.encode()).hexdigest())
"""


@needs_library
def test_items_do_not_depend_on_the_process():
    outputs = []
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", DIGEST],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        outputs.append([line for line in done.stdout.splitlines() if " " in line])
    assert len(outputs[0]) == len(FAMILIES)
    assert outputs[0] == outputs[1]


@needs_library
@pytest.mark.parametrize("family", ["chain_sum", "list_functions", "pool_matrix"])
def test_global_random_state_is_left_alone(family):
    env = make(family)
    items(env, 1)
    before = random.getstate()
    first = [t.key for t in items(env, 5)]
    assert random.getstate() == before
    random.seed(9)
    assert [t.key for t in items(env, 5)] == first


@needs_library
def test_levels_are_checked_and_get_harder():
    assert FAMILIES["gsm_symbolic"] is None
    with pytest.raises(UserError, match="no levels"):
        make("gsm_symbolic", level=0)
    with pytest.raises(UserError, match="levels 0 to"):
        make("chain_sum", level=99)

    def length(level):
        return sum(len(t.question) for t in items(make("chain_sum", level=level), 40))

    assert length(0) < length(FAMILIES["chain_sum"])


@needs_library
def test_the_answer_is_where_the_rule_says():
    tags, boxed = make("chain_sum"), make("chain_sum", answer="boxed")
    (task,) = items(tags, 1)
    assert "<answer>" in task.question
    gold = task.answer
    assert tags.score(task, f"So it is 7. <answer> {gold}\n</answer>").value == 1.0
    assert boxed.score(task, rf"first \boxed{{7}}, no, \boxed{{{gold}}}.").value == 1.0
    for reply in (
        gold,
        f"<answer>{gold}",
        f"<answer>7</answer> <answer>{gold}</answer>",
        f"<answer><answer>{gold}</answer></answer>",
    ):
        reward = tags.score(task, reply)
        assert (reward.value, reward.status) == (0.0, "unparseable")
    with pytest.raises(UserError, match="tags, boxed, whole"):
        make("chain_sum", answer="last")


@needs_library
def test_partial_credit_is_logged_and_not_paid():
    env = make("word_ladder", answer="whole")
    (task,) = items(env, 1)
    start, end = task.answer.split(",")[0], task.answer.split(",")[-1]
    assert env.score(task, f"{start},{end}").value == 0.0
    tower = make("tower_of_hanoi", answer="whole")
    (task,) = items(tower, 1)
    first = task.answer.splitlines()[0]
    reward = tower.score(task, first)
    assert reward.value == 0.0
    assert 0 < reward.components["partial"] < 1


@needs_library
def test_puzzle24_takes_only_its_own_numbers():
    env = make("puzzle24", answer="whole")
    (task,) = items(env, 1)
    numbers = sorted(task.metadata["details"]["numbers"])
    other = "4*6*1*1" if numbers != [1, 1, 4, 6] else "2*3*4*1"
    assert env.score(task, other).value == 0.0


NUMBERS = {"numbers": [2, 3, 4], "target": 14}


def judge_countdown(text):
    return judge.judge("countdown", text, "2 + 3*4", NUMBERS, scorer=lambda answer: 1.0)


@pytest.mark.parametrize(
    ("text", "right"), [("3*4 + 2", True), ("-(-2 - 4*3)", True), ("2*3 + 4", False), ("14", False)]
)
def test_an_expression_must_use_the_numbers_and_make_the_target(text, right):
    assert judge_countdown(text) == (right, float(right), None)


@pytest.mark.parametrize("text", ["2**3", "9**9**9", "f(2)", "2 3", "2//1", "", "(" * 200, "1/0"])
def test_what_is_no_arithmetic(text):
    right, mark, problem = judge_countdown(text)
    assert (right, mark) == (False, 0.0)
    assert "not an arithmetic expression" in problem
