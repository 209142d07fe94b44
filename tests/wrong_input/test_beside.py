"""What is right beside what is wrong: it goes on as before, and what is doubtful is said."""

import logging
import random

import pytest

import rlenv
from rlenv.cli import main
from rlenv.common import failures
from rlenv.common.errors import UserError, cause
from rlenv.common.settings import read_mapping
from rlenv.core.env import SingleTurnEnv
from rlenv.core.tools import ToolEnv
from tests.wrong_input.cases.data import ROWED

SHORT = ["--samples", "1", "--max-tokens", "2"]


class Scored(SingleTurnEnv):
    """Earns what the reply says."""

    reward_range = (-1.0, 1.0)

    def generate(self, rng):
        return rlenv.Task(str(rng.random()), answer="1")

    def score(self, task, reply):
        return float(reply)


def play(env, reply):
    env.reset(seed=0)
    return env.step(reply)[4]["reward"]


@pytest.mark.parametrize("reply", ["-1", "0.5", "1", "1.0000001"])
def test_a_reward_within_its_range_is_kept(reply):
    reward = play(Scored(), reply)
    assert reward.judged
    assert reward.value == float(reply)


@pytest.mark.parametrize("reply", ["-1.1", "7"])
def test_a_reward_outside_of_its_range_is_no_verdict(reply):
    reward = play(Scored(), reply)
    assert not reward.judged
    assert f"a reward of {reply} lies outside of reward_range, -1 to 1" in reward.detail


def test_what_counts_is_what_an_episode_adds_up_to():
    class Twice(rlenv.TextEnv):
        def generate(self, rng):
            return rlenv.Task(str(rng.random()), answer="1")

        def respond(self, task, reply):
            return rlenv.turn("go on", 2.0) if reply == "first" else rlenv.done(reward=-1.5)

    env = Twice()
    env.reset(seed=0)
    assert env.step("first")[1] == 2.0
    assert env.step("second")[4]["reward"].judged


def test_failures_are_told_once_and_then_counted(caplog):
    class Broken(SingleTurnEnv):
        def generate(self, rng):
            return rlenv.Task(str(rng.random()), answer="1")

        def score(self, task, reply):
            raise KeyError("gold")

    env = Broken()
    with caplog.at_level(logging.WARNING):
        details = {play(env, "1").detail for _ in range(25)}
    first, tenth = (record.getMessage() for record in caplog.records)
    assert first.startswith("Broken failed: KeyError: 'gold' (test_beside.py, line ")
    assert "failed 10 times so far" in tenth
    assert len(details) == 1


def test_other_failures_are_told_for_themselves(caplog):
    log = logging.getLogger("test")
    with caplog.at_level(logging.WARNING):
        for error in (ValueError("one"), TypeError("two"), ValueError("three")):
            failures.tell(log, "something of this test", error)
    assert [record.getMessage().split(";")[0] for record in caplog.records] == [
        "something of this test failed: ValueError: one",
        "something of this test failed: TypeError: two",
    ]


def test_a_cause_names_the_innermost_line_of_its_author():
    with pytest.raises(ValueError, match="literal") as raised:
        random.Random(0).choice([1]) and int("x")
    assert cause(raised.value).startswith("ValueError: invalid literal")
    assert "(test_beside.py, line " in cause(raised.value)


def test_tools_run_where_the_author_writes_respond():
    class Both(ToolEnv):
        @rlenv.tool
        def look(self, word: str) -> str:
            """Look up a word.

            Args:
                word: the word.
            """
            return f"{word}: found"

        def generate(self, rng):
            return rlenv.Task(str(rng.random()), answer="1")

        def respond(self, task, reply):
            return rlenv.done("over", 1.0) if reply == "1" else "try again"

    env = Both()
    env.reset(seed=0)
    call = '<tool_call>{"name": "look", "arguments": {"word": "cat"}}</tool_call>'
    said, _, over, _, _ = env.step(call)
    assert (said, over) == ("cat: found", False)
    assert env.step("2")[0] == "try again"
    assert env.step("1")[2]


def test_a_split_of_few_tasks_is_said(places, tmp_path, capsys):
    (tmp_path / "rowed.py").write_text(ROWED)
    rows = "".join(f'{{"prompt": "{n} + 1 = ?", "answer": "2"}}\n' for n in range(40))
    (tmp_path / "rows.jsonl").write_text(rows)
    env = [f"{tmp_path}/rowed.py:demo/Rowed-v0", "--option", f"rows={tmp_path}/rows.jsonl"]
    words = ["eval", str(places.run / "grpo"), *env, *SHORT, "--output", str(tmp_path / "a/b")]
    assert main.main(words) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "the test split of" in said
    assert "tasks, of which no figure is sure" in said
    assert (tmp_path / "a/b/result.json").is_file()  # folders on the way are made


def test_a_key_may_stand_twice_in_two_mappings_but_not_in_one(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: &shared {x: 1}\nb: {<<: *shared, x: 2}\n")
    assert read_mapping(path, "a:") == {"a": {"x": 1}, "b": {"x": 2}}
    path.write_text("a: {x: 1, x: 2}\n")
    with pytest.raises(UserError, match="'x' stands there twice"):
        read_mapping(path, "a:")
