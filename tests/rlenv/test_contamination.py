import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rlenv
from rlenv.cli import main
from rlenv.core import protocols
from rlenv.data.contamination import find_tasks, read_texts

STORY = (
    "A farmer brings {n} red apples and {m} green pears to the market of the old town by the river "
    "and sells half of them before noon; how many fruits are left for the afternoon?"
)


class Stories(rlenv.SingleTurnEnv):
    """Long questions of one wording."""

    def generate(self, rng):
        n, m = rng.randrange(10**6), rng.randrange(10**6)
        return rlenv.Task(STORY.format(n=n, m=m), answer=(n + m) // 2)

    def score(self, task, reply):
        return reply == str(task.answer)


@pytest.fixture(scope="module")
def stories():
    env = Stories(split="test")
    return env, env.tasks.distinct(40)


def found(env_and_tasks, *texts):
    result = find_tasks(*env_and_tasks, [(str(n), text) for n, text in enumerate(texts)])
    return {f.task_key: (f.kind, f.source) for f in result.found}


def test_a_question_is_found_whole_and_by_13_words(stories):
    _, tasks = stories
    whole = tasks[3].question.replace(" ", "\t ")
    changed = tasks[5].question.upper().replace(";", " -- ")
    part = " ".join(tasks[7].question.split()[3:16])
    assert found(stories, f"Once. {whole} The end.", changed, part, "nothing here") == {
        tasks[3].key: ("exact", "0"),
        tasks[5].key: ("n-gram", "1"),
        tasks[7].key: ("n-gram", "2"),
    }


def test_wording_that_tasks_share_is_no_contamination(stories):
    assert found(stories, STORY.format(n=1, m=2)) == {}


def test_twelve_words_are_not_enough(stories):
    _, tasks = stories
    words = tasks[0].question.split()
    assert found(stories, " ".join(words[3:15])) == {}


def test_the_solution_counts_too(stories):
    env, tasks = stories
    solved = protocols.text(env, tasks[2]).split()
    assert found(stories, " ".join(solved[-13:]))[tasks[2].key][0] == "n-gram"


@given(st.integers(0, 99), st.integers(0, 99))
def test_short_questions_are_found_as_they_stand(a, b):
    env = rlenv.make("rlenv/Arithmetic-v0", split="test")
    task = rlenv.Task(f"{a} + {b} = ?", answer=a + b)
    assert found((env, [task]), f"we know that {a}+{b} = {a + b}.") != {}
    assert found((env, [task]), f"1{a} + {b}") == {}
    assert found((env, [task]), f"{a} + {b}0") == {}
    assert found((env, [task]), f"{a}, {b}") == {}


def test_exact_finds_come_before_n_grams(stories):
    _, tasks = stories
    question = tasks[1].question
    assert found(stories, question.upper(), question)[tasks[1].key] == ("exact", "1")


def test_texts_of_every_kind_are_read(tmp_path):
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "b.jsonl").write_text('{"q": "two", "inner": {"a": ["three"]}, "n": 4}\n')
    (tmp_path / "c.bin").write_bytes(b"\xff")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/d.csv").write_text("x,y\nfour,five\n")
    texts = [text for _, text in read_texts([tmp_path])]
    assert texts == ["one", "two\nthree", "four\nfive"]
    with pytest.raises(rlenv.UserError, match="does not exist"):
        list(read_texts([tmp_path / "nowhere"]))
    with pytest.raises(rlenv.UserError, match="none of"):
        list(read_texts([tmp_path / "c.bin"]))


def test_the_command(tmp_path, capsys):
    env = rlenv.make("rlenv/Arithmetic-v0", split="test")
    tasks = env.tasks.distinct(50)
    rng = random.Random(0)
    lines = [env.text(task) for task in rng.sample(tasks, 5)]
    (tmp_path / "text.txt").write_text("\n".join(["no sums here", *lines]))
    command = ["contamination", "rlenv/Arithmetic-v0", str(tmp_path), "--tasks", "50"]
    assert main.main([*command, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (len(result["found"]), result["share"], result["too_short"]) == (5, 0.1, 50)
    assert main.main(command) == 0
    assert "5 of 50 tasks (10.0%)" in capsys.readouterr().out
    (tmp_path / "empty").mkdir()
    assert main.main([*command[:2], str(tmp_path / "empty")]) == 2
    assert "no text" in capsys.readouterr().err
