import json
import math
import pickle
import random

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st

import rlenv
from rlenv import parsing


class Reverse(rlenv.SingleTurnEnv):
    """Spell a word backwards."""

    def generate(self, rng):
        word = "".join(rng.choices("abcdefgh", k=rng.randint(3, 8)))
        return rlenv.Task(f"Spell {word} backwards.", answer=word[::-1])

    def score(self, task, reply):
        return reply.strip() == task.answer


class HigherLower(rlenv.TextEnv):
    """Find a number from 1 to 100."""

    def generate(self, rng):
        return rlenv.Task("I am thinking of a number from 1 to 100.", answer=rng.randint(1, 100))

    def respond(self, task, reply):
        match parsing.integer(reply):
            case None:
                return "That is not a number."
            case guess if guess == task.answer:
                return rlenv.done("Yes!", reward=1.0)
            case guess:
                return rlenv.turn("Higher." if guess < task.answer else "Lower.", reward=-0.01)


class Broken(Reverse):
    """Its grader has a bug."""

    def score(self, task, reply):
        raise ZeroDivisionError("a bug")


@pytest.mark.parametrize("env", [Reverse(), HigherLower(max_turns=3)])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_gymnasium_accepts_it(env):
    check_env(env, skip_render_check=True)


def test_a_whole_episode():
    env = Reverse()
    question, info = env.reset(seed=0)
    assert question.startswith("Spell ")
    assert info["messages"] == [{"role": "user", "content": question}]
    assert env.task is not None
    observation, reward, terminated, truncated, info = env.step(env.task.answer)
    assert (observation, reward, terminated, truncated) == ("", 1.0, True, False)
    assert info["reward"] == rlenv.Reward(1.0)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step("again")


def test_the_same_seed_plays_the_same_task():
    first, second = Reverse(), Reverse()
    assert [first.reset(seed=s)[0] for s in range(5)] == [second.reset(seed=s)[0] for s in range(5)]
    assert first.random.random() == second.random.random()


def test_a_given_task_is_played():
    task = rlenv.Task("Spell ab backwards.", answer="ba")
    env = Reverse()
    assert env.reset(options={"task": task})[0] == task.question
    assert env.step("ba")[1] == 1.0


def test_global_random_state_is_left_alone():
    random.seed(1)
    before = random.getstate()
    env = Reverse()
    env.reset(seed=3)
    env.step("x")
    assert random.getstate() == before


def test_several_turns_each_with_its_reward():
    env = HigherLower(max_turns=10)
    env.reset(options={"task": rlenv.Task("?", answer=60)})
    assert env.step("50")[:4] == ("Higher.", -0.01, False, False)
    assert env.step("hello")[:2] == ("That is not a number.", 0.0)
    observation, reward, terminated, _, info = env.step("60")
    assert (observation, reward, terminated) == ("Yes!", 1.0, True)
    roles = [m["role"] for m in info["messages"]]
    assert roles == ["user"] + ["assistant", "user"] * 3
    assert info["turn"] == 3


def test_running_out_of_turns_truncates():
    env = HigherLower(max_turns=2)
    env.reset(options={"task": rlenv.Task("?", answer=60)})
    assert env.step("1")[2:4] == (False, False)
    assert env.step("2")[2:4] == (False, True)


def test_a_bug_in_the_grader_is_a_grader_error_with_its_traceback_logged(caplog):
    env = Broken()
    env.reset(seed=0)
    _, reward, terminated, _, info = env.step("x")
    assert math.isnan(reward)
    assert terminated
    assert info["reward"].status == "grader_error"
    assert "a bug" in info["reward"].detail
    assert "ZeroDivisionError" in caplog.text


@given(st.text())
def test_spaces_hold_every_string(text):
    env = Reverse()
    assert text in env.action_space
    assert text in env.observation_space


def test_renders_the_transcript():
    env = Reverse(render_mode="ansi")
    question, _ = env.reset(seed=0)
    env.step("abc")
    assert env.render() == f"user: {question}\nassistant: abc"
    with pytest.raises(ValueError, match="ansi"):
        Reverse(render_mode="human")


def test_picklable_in_the_middle_of_an_episode():
    env = HigherLower()
    env.reset(options={"task": rlenv.Task("?", answer=60)})
    env.step("10")
    copy = pickle.loads(pickle.dumps(env))
    assert copy.step("60")[1] == 1.0


def test_works_in_gymnasiums_vector_and_wrappers():
    envs = gymnasium.vector.SyncVectorEnv([Reverse, Reverse])
    observations, _ = envs.reset(seed=0)
    assert len(observations) == 2
    _, rewards, terminated, _, _ = envs.step(("x", "y"))
    assert list(rewards) == [0.0, 0.0]
    assert list(terminated) == [True, True]
    wrapped = gymnasium.wrappers.RecordEpisodeStatistics(Reverse())
    wrapped.reset(seed=0)
    assert wrapped.step("x")[4]["episode"]["l"] == 1


class Parts(rlenv.SingleTurnEnv):
    """A rubric instead of a score."""

    generate = Reverse.generate
    rubric = rlenv.Rubric(correct=1.0, short=0.1, gate="correct")
    reward_range = (0.0, 1.1)

    def correct(self, task, reply):
        return reply == task.answer

    async def short(self, task, reply):
        if reply == "boom":
            raise OSError("the judge is down")
        return len(reply) < 10


def test_a_rubric_and_its_components():
    env = Parts()
    env.reset(seed=0)
    reward = env.step(env.task.answer)[4]["reward"]
    assert reward.components == {"correct": 1.0, "short": 1.0}
    assert reward.value == pytest.approx(1.1)
    env.reset(seed=0)
    assert env.step("x")[1] == 0.0


def test_a_component_that_raises_is_a_grader_error(caplog):
    env = Parts()
    env.reset(seed=0)
    reward = env.step("boom")[4]["reward"]
    assert reward.status == "grader_error"
    assert "the judge is down" in caplog.text


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet", "rows"])
def test_tasks_from_rows_of_data(tmp_path, kind):
    rows = [{"q": f"Spell {w}x backwards.", "a": f"x{w[::-1]}"} for w in map(str, range(100))]
    source = tmp_path / f"data.{kind}"
    if kind == "jsonl":
        source.write_text("\n".join(map(json.dumps, rows)))
    elif kind == "json":
        source.write_text(json.dumps(rows))
    elif kind == "csv":
        source.write_text("q,a\n" + "".join(f"{r['q']},{r['a']}\n" for r in rows))
    elif kind == "parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(rows), source)
    else:
        source = rows
    columns = {"prompt": "q", "answer": "a"}
    made = [Reverse(rows=source, columns=columns, split=s) for s in rlenv.core.task.SPLITS]
    assert sum(len(env.tasks) for env in made) == 100
    question, _ = made[0].reset(seed=1)
    assert question in {row["q"] for row in rows}
    assert made[0].step(made[0].task.answer)[1] == 1.0


def test_rows_that_cannot_be_read(tmp_path):
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"prompt": "a", "answer": 1}\n{oops\n')
    with pytest.raises(rlenv.UserError, match="line 2"):
        Reverse(rows=bad)
    with pytest.raises(rlenv.UserError, match="does not exist"):
        Reverse(rows=tmp_path / "none.jsonl")
    with pytest.raises(rlenv.UserError, match="no column 'answer'; they have prompt, gold"):
        _ = Reverse(rows=[{"prompt": "x", "gold": "y"}]).tasks
    (tmp_path / "data.xml").write_text("")
    with pytest.raises(rlenv.UserError, match="none of"):
        Reverse(rows=tmp_path / "data.xml")


def test_rows_of_a_data_set_by_its_id(monkeypatch):
    import datasets

    asked = []

    def load(name, configuration, split):
        asked.append((name, configuration, split))
        if name == "someone/gone":
            raise FileNotFoundError("no such data set")
        rows = [{"prompt": f"{name} {i}", "answer": str(i)} for i in range(50)]
        return datasets.DatasetDict(
            {"train": datasets.Dataset.from_list(rows[:40]), "test": rows[40:]}
        )

    monkeypatch.setattr(datasets, "load_dataset", load)
    made = [Reverse(rows="someone/words-v1.5:long", split=s) for s in rlenv.core.task.SPLITS]
    assert sum(len(env.tasks) for env in made) == 50
    assert asked == [("someone/words-v1.5", "long", None)]
    with pytest.raises(rlenv.UserError, match="'someone/gone' could not be loaded: no such data"):
        Reverse(rows="someone/gone")


def test_a_file_that_changes_is_read_again(tmp_path):
    path = tmp_path / "rows.jsonl"
    for count in (3, 30):
        path.write_text(
            "".join(json.dumps({"prompt": str(i), "answer": i}) + "\n" for i in range(count))
        )
        splits = [Reverse(rows=path, split=split).tasks for split in rlenv.core.task.SPLITS]
        assert sum(map(len, splits)) == count
    assert Reverse(rows=path).rows is Reverse(rows=path).rows


def test_works_in_processes_of_their_own():
    envs = gymnasium.vector.AsyncVectorEnv([Reverse, Reverse], shared_memory=False)
    try:
        observations, _ = envs.reset(seed=0)
        assert observations[0] == Reverse().reset(seed=0)[0]
        assert observations[1] == Reverse().reset(seed=1)[0]
        assert list(envs.step(("x", "ü\u2028"))[2]) == [True, True]
    finally:
        envs.close()
    with pytest.raises(ValueError, match="shared_memory"):
        gymnasium.vector.AsyncVectorEnv([Reverse])
