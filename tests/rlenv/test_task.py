import random
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlenv import GeneratedTasks, RowTasks, Task, split_of
from rlenv.common.errors import HeldOutError, UserError
from rlenv.core.task import SPLITS, TaskSet

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def number_task(rng: random.Random) -> Task:
    n = rng.randrange(10**6)
    return Task(f"What is {n}?", answer=n)


@given(prompt=st.text(), answer=json_values)
def test_key_depends_on_content_alone(prompt, answer):
    task = Task(prompt, answer)
    assert task.key == Task(prompt, answer, metadata={"level": 3}).key
    assert task.key != Task(prompt + "!", answer).key
    assert task.split == split_of(task.key)


def test_key_is_the_same_in_every_process():
    code = "from rlenv import Task; print(Task('a?', answer={'b': 1, 'a': [2, 'ü']}).key)"
    keys = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("0", "1", "12345")
    }
    assert keys == {Task("a?", answer={"a": [2, "ü"], "b": 1}).key}


def test_identity_replaces_prompt_and_answer():
    assert Task("2 + 3", 5, identity=[2, 3]).key == Task("3 + 2", 5, identity=[2, 3]).key


def test_answer_that_json_cannot_hold_needs_an_identity():
    with pytest.raises(TypeError, match="identity"):
        _ = Task("?", answer=object()).key
    assert Task("?", answer=object(), identity="x").key


def test_prompt_is_text_or_messages():
    assert Task("hello").prompt == ({"role": "user", "content": "hello"},)
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}]
    assert Task(messages).prompt == tuple(messages)
    assert Task(messages).question == "hello"
    for wrong in ([], [{"content": "no role"}], [{"role": "user"}], [*messages, {"role": "user"}]):
        with pytest.raises(ValueError, match="role"):
            Task(wrong)


def test_metadata_is_kept_and_is_the_tasks_own():
    told = {"level": 3}
    task = Task("?", metadata=told)
    told["level"] = 4
    assert task.metadata == {"level": 3}
    assert Task("?").metadata == {}


@given(seeds=st.lists(st.integers(), min_size=3, max_size=3))
def test_splits_of_generated_tasks_share_nothing_whatever_the_seeds(seeds):
    keys = []
    for split, seed in zip(SPLITS, seeds, strict=True):
        rng = random.Random(seed)
        tasks = GeneratedTasks(number_task, split=split)
        keys.append({tasks.sample(rng).key for _ in range(40)})
    assert not keys[0] & keys[1]
    assert not keys[0] & keys[2]
    assert not keys[1] & keys[2]


def test_shares_of_the_splits():
    rng = random.Random(0)
    splits = [number_task(rng).split for _ in range(20_000)]
    assert 0.78 < splits.count("train") / 20_000 < 0.82
    assert 0.09 < splits.count("test") / 20_000 < 0.11


def test_indexed_tasks_are_the_same_everywhere():
    a, b = (GeneratedTasks(number_task, split="test", name="numbers") for _ in range(2))
    assert [a[i].key for i in range(20)] == [b[i].key for i in range(20)]
    assert a.fingerprint == b.fingerprint
    assert a.fingerprint != GeneratedTasks(number_task, split="train", name="numbers").fingerprint


class Listed(TaskSet):
    """Tasks in an order of one's own, as often as one likes."""

    split = "train"
    fingerprint = "listed"

    def __init__(self, numbers):
        self.numbers = numbers

    def __getitem__(self, index):
        return Task(str(self.numbers[index]))


def test_distinct_looks_longer_for_more_the_more_it_has_found():
    many, again = list(range(300)), [0] * 750
    found = Listed([*many, *again, 300, *again, *again, 301]).distinct(1000)
    assert [task.question for task in found] == [str(n) for n in range(301)]
    # 200 and 2 more for the one that is known
    assert Listed([0] * 203 + [1]).distinct(2) == [Task("0"), Task("1")]
    assert Listed([0] * 204 + [1]).distinct(2) == [Task("0")]
    assert len(Listed(many).distinct(5)) == 5


def test_what_there_is_no_task_for_is_an_error():
    with pytest.raises(IndexError):
        GeneratedTasks(number_task)[-1]
    with pytest.raises(UserError, match="no row falls into the train split"):
        RowTasks([], lambda row: Task(str(row))).sample(random.Random(0))
    for ask in (lambda tasks: tasks.sample(random.Random(0)), lambda tasks: tasks[0]):
        with pytest.raises(NotImplementedError):
            ask(TaskSet())


def test_a_set_is_one_though_it_holds_no_task():
    assert RowTasks([], lambda row: Task(str(row)))
    assert GeneratedTasks(number_task)


def test_the_whole_is_no_part():
    whole = GeneratedTasks(number_task)
    assert whole.part(0, 1) is whole
    assert whole.part(0.0, 0.5).fingerprint != whole.part(0.5, 1.0).fingerprint
    assert GeneratedTasks(number_task, split="test").part(0.0, 0.5).split == "test"


def test_distinct_ends_where_a_generator_makes_few_tasks():
    tasks = GeneratedTasks(lambda rng: Task(str(rng.randrange(50))), split="train")
    found = tasks.distinct(1000)
    expected = {Task(str(n)).key for n in range(50) if Task(str(n)).split == "train"}
    assert {task.key for task in found} == expected
    assert len(found) == len(expected)


@given(cut=st.floats(0.01, 0.99), seed=st.integers())
def test_parts_of_the_tasks_share_nothing_and_leave_nothing_out(cut, seed):
    whole = RowTasks([{"n": n} for n in range(60)], lambda row: Task(str(row["n"])), split="train")
    low, high = whole.part(0, cut), whole.part(cut, 1)
    keys = [{task.key for task in some} for some in (low, high)]
    assert keys[0] | keys[1] == {task.key for task in whole}
    assert not keys[0] & keys[1]
    rng = random.Random(seed)
    for part, known in zip((low, high), keys, strict=True):
        if known:
            assert {part.sample(rng).key for _ in range(20)} <= known
    assert len({part.fingerprint for part in (whole, low, high)}) == 3


def test_half_of_an_endless_set_is_half_of_its_tasks():
    whole = GeneratedTasks(number_task, split="train", name="numbers")
    half = whole.part(0, 0.5)
    drawn = [whole.sample(random.Random(n)) for n in range(4000)]
    assert 0.46 < sum(task in half for task in drawn) / len(drawn) < 0.54
    assert half[7].key == half[7].key
    assert half[7].split == "train"
    with pytest.raises(HeldOutError):
        GeneratedTasks(number_task, split="test").for_training().part(0, 0.5)


def test_a_part_without_tasks_is_a_clear_error():
    whole = RowTasks([{"n": n} for n in range(9)], lambda row: Task(str(row["n"])), split="train")
    with pytest.raises(UserError, match="make it larger"):
        whole.part(0, 1e-9).sample(random.Random(0))


def test_a_split_that_cannot_be_reached_is_a_clear_error():
    always = Task("the one task")
    empty = next(split for split in SPLITS if split != always.split)
    with pytest.raises(UserError, match="too few different tasks"):
        GeneratedTasks(lambda rng: always, split=empty).sample(random.Random(0))


@given(st.randoms(use_true_random=False))
def test_rows_keep_their_split_when_the_file_is_shuffled_or_grows(rng):
    rows = [{"q": f"question {i}"} for i in range(60)]
    more = [*rows, *({"q": f"new {i}"} for i in range(30))]
    rng.shuffle(more)

    def keys(data, split):
        made = RowTasks(data, lambda row: Task(row["q"]), split=split)
        return {made[i].key for i in range(len(made))}

    for split in SPLITS:
        assert keys(rows, split) <= keys(more, split)
    assert sum(len(keys(rows, split)) for split in SPLITS) == len(rows)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_held_out_tasks_never_reach_a_trainer(split):
    with pytest.raises(HeldOutError, match="held out"):
        GeneratedTasks(number_task, split=split).for_training()


def test_unknown_split_names_the_known_ones():
    with pytest.raises(UserError, match="Did you mean validation"):
        GeneratedTasks(number_task, split="validaton")
