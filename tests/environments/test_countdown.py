import itertools
import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rlenv
from rlenv.common.errors import UserError
from rlenv.environments.countdown import LEVELS

ONE = [{"numbers": [1, 2, 3], "target": 6}]  # where what is judged is given beside the rows


def make(**options):
    return rlenv.make("rlenv/Countdown-v0", **options)


def tasks(env, count=200, seed=0):
    rng = random.Random(seed)
    return [env.generate(rng) for _ in range(count)]


def reachable(numbers):
    """Every value of every expression of all the numbers, by brute force."""
    if len(numbers) == 1:
        return {Fraction(numbers[0])}
    found = set()
    for size in range(1, len(numbers)):
        for left in itertools.combinations(range(len(numbers)), size):
            right = [n for i, n in enumerate(numbers) if i not in left]
            for a, b in itertools.product(reachable([numbers[i] for i in left]), reachable(right)):
                found |= {a + b, a - b, a * b} | ({a / b} if b else set())
    return found


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("use_all", [False, True])
def test_tasks_are_as_the_level_says_and_their_demonstrations_solve_them(level, use_all):
    env = make(level=level, use_all=use_all)
    lowest, highest = LEVELS[level].targets
    for task in tasks(env):
        numbers, target = task.metadata["numbers"], task.metadata["target"]
        assert len(numbers) == LEVELS[level].count
        assert lowest <= target <= highest
        assert target not in numbers
        assert all(str(n) in task.question for n in [*numbers, target])
        reward = env.score(task, env.demonstrate(task, task.prompt))
        assert reward == rlenv.Reward(1.0, {"correct": 1.0, "format": 1.0}, detail=reward.detail)


def test_every_target_can_be_reached():
    for level in (1, 2, 3, 4):
        for task in tasks(make(level=level), 25):
            assert task.metadata["target"] in reachable(task.metadata["numbers"])


def test_the_classic_numbers_are_those_of_the_game():
    for task in tasks(make(level=6)):
        small = [n for n in task.metadata["numbers"] if n <= 10]
        large = [n for n in task.metadata["numbers"] if n > 10]
        assert 1 <= len(large) <= 4
        assert len(set(large)) == len(large)
        assert set(large) <= {25, 50, 75, 100}
        assert all(small.count(n) <= 2 for n in small)


def test_the_order_of_the_numbers_makes_no_other_task():
    env = make(level=3, rows=ONE)
    one, same, other = (
        env.from_row({"numbers": numbers, "target": 24})
        for numbers in ([3, 5, 8], [8, 3, 5], [3, 5, 9])
    )
    assert one.key == same.key != other.key
    long, short = (tasks(make(level=3, instructions=i), 1)[0] for i in (True, False))
    assert long.key == short.key
    assert long.question.startswith(short.question)


TASK = {"numbers": [3, 3, 8, 20], "target": 24}
SOLVED, WRONG, OTHER_NUMBERS, UNREADABLE = (1.0, 1.0), (0.0, 1.0), (0.0, 0.0), None
REPLIES = {
    "3*8": SOLVED,
    "8 / (3 - 8/3)": OTHER_NUMBERS,
    "(20+3)*3/(8-3)": OTHER_NUMBERS,
    "20+3+3-8": WRONG,
    "3*8=24": SOLVED,
    "3*8 = 24.": SOLVED,
    "$3 \\times 8$": SOLVED,
    "First 3*8=24.\n\nSo:\n3*8\n": SOLVED,
    "I think \\boxed{3*8}, which is it.": SOLVED,
    "\\boxed{20+3} no, \\boxed{3 \\cdot 8 = 24}": SOLVED,
    "\\boxed{3*8} or \\boxed{20+3}": WRONG,
    "3*8\n20+3": WRONG,
    "-3*(-8)": SOLVED,
    "3*(-8)": WRONG,
    "3*8=25": WRONG,
    "20+3=24": WRONG,
    "24": OTHER_NUMBERS,
    "24=24": OTHER_NUMBERS,
    "24*3/3": OTHER_NUMBERS,
    "2*(3*8/2)": OTHER_NUMBERS,
    "3*8*1": OTHER_NUMBERS,
    "33-8-1": OTHER_NUMBERS,
    "3*8*3*8/(3*8)": OTHER_NUMBERS,
    "3*8+0": OTHER_NUMBERS,
    "20/0": UNREADABLE,
    "3*8=24=20+4": UNREADABLE,
    "3*8, 20+3": UNREADABLE,
    "3*8 20+3": UNREADABLE,
    "3*8 or 20+3": UNREADABLE,
    "3 8": UNREADABLE,
    "3*8 = ": UNREADABLE,
    "= 24": UNREADABLE,
    "(3*8": UNREADABLE,
    "3**8": UNREADABLE,
    "3^3-3": UNREADABLE,
    "9**9**9**9": UNREADABLE,
    "__import__('os').abort()": UNREADABLE,
    "Make 24 from 3, 3, 8, 20.": UNREADABLE,
    "\\boxed{}": UNREADABLE,
    "\\boxed{3*8": UNREADABLE,
    "": UNREADABLE,
    "(" * 10_000: UNREADABLE,
    "3*8\nThat is all.": UNREADABLE,
}


@pytest.mark.parametrize("reply", REPLIES)
def test_verdicts(reply):
    env = make(rows=ONE)
    reward = env.score(env.from_row(TASK), reply)
    if REPLIES[reply] is UNREADABLE:
        assert (reward.value, reward.status) == (0.0, "unparseable")
        assert reward.detail
    else:
        assert (reward.components["correct"], reward.components["format"]) == REPLIES[reply]
        assert (reward.value, reward.status) == (reward.components["correct"], "ok")


def test_all_numbers_must_be_used_where_the_rules_say_so():
    env = make(rows=ONE, use_all=True)
    task = env.from_row({"numbers": [1, 3, 8], "target": 24})
    assert "exactly once" in task.question
    assert env.score(task, "3*8").components == {"correct": 0.0, "format": 0.0}
    assert env.score(task, "3*8*1").value == 1.0


@given(st.text() | st.text("0123456789+-*/()= .$\n", max_size=30))
def test_any_reply_gets_a_verdict(reply):
    env = make(rows=ONE)
    reward = env.score(env.from_row(TASK), reply)
    assert reward.status in ("ok", "unparseable")
    assert reward.value in (0.0, 1.0)


def test_a_rubric_gives_the_format_its_share():
    env = make(level=2, rubric={"correct": 1.0, "format": 0.1})
    assert env.reward_range == (0.0, 1.1)
    assert env.solved_at == 1.1
    (task,) = tasks(env, 1)
    a, b, _ = task.metadata["numbers"]
    assert env.score(task, f"{a}-{b}").value == 0.1
    assert env.score(task, env.demonstrate(task, task.prompt)).value == 1.1


def test_rows_of_a_data_set():
    rows = [{"nums": [a, 7, 2], "target": a * 7 + 2, "note": f"{a}*7+2"} for a in range(1, 150)]
    options = {"rows": rows, "columns": {"numbers": "nums", "answer": "note"}}
    env = make(**options)
    assert len(env.tasks) + sum(
        len(make(split=split, **options).tasks) for split in ("validation", "test")
    ) == len(rows)
    for task in env.tasks:
        assert env.score(task, env.demonstrate(task, task.prompt)).value == 1.0
    unsolved = env.from_row({"nums": [1, 2], "target": 3})
    assert env.demonstrate(unsolved, unsolved.prompt) is None


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"level": 7}, "level is 1 to 6"),
        ({"rows": [{"numbers": [1, 2]}]}, "no column 'target'"),
        ({"rubric": {"corect": 1.0}}, "Did you mean correct?"),
        ({"rubric": {"correct": 1.0, "gate": "brief"}}, "gate 'brief'"),
        ({"rubric": {}}, "at least one component"),
    ],
)
def test_bad_options_end_in_one_sentence(options, says):
    with pytest.raises(UserError, match=says.replace("?", r"\?")):
        _ = make(**options).tasks
