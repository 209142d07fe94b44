"""The words and figures that people get to see for a reward, and how long texts are shortened."""

import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import rlenv
from rlenv.common.display import Display
from rlenv.common.verdicts import figure, scored, shorten, verdict
from rlenv.core.trajectory import Trajectory


@pytest.mark.parametrize(
    ("value", "scale", "word"),
    [
        (1.0, {}, "right"),
        (0.0, {}, "wrong"),
        (-0.01, {}, "wrong"),
        (0.1, {}, "partly"),
        (1.0, {"solved_at": 1.1}, "partly"),
        (0.5, {"lowest": 0.5}, "wrong"),
        (0.0, {"lowest": -1.0}, "wrong"),
        (0.2, {"lowest": -math.inf, "solved_at": 0.0}, "right"),
        (-3.0, {"lowest": -math.inf, "solved_at": 0.0}, "wrong"),
        (None, {}, "not judged"),
        (math.nan, {}, "not judged"),
    ],
)
def test_the_word_for_a_reward(value, scale, word):
    assert verdict(value, **scale) == word


@pytest.mark.parametrize(
    ("reward", "says"),
    [
        (rlenv.Reward(1.0), "1.00 right"),
        (rlenv.Reward(0.0), "0.00 wrong"),
        (rlenv.Reward(-0.0), "0.00 wrong"),
        (rlenv.Reward(-0.01), "-0.01 wrong"),
        (rlenv.Reward(-0.001), "-0.001 wrong"),
        (rlenv.Reward(0.0, status="unparseable"), "0.00 wrong: no answer found"),
        (rlenv.Reward(0.3, status="unparseable"), "0.30 partly: no answer found"),
        (rlenv.Reward(0.0, status="timeout"), "0.00 wrong: judging it took too long"),
        (rlenv.Reward.failed("the judge left"), "not judged"),
    ],
)
def test_a_reward_as_people_read_it(reward, says):
    assert scored(reward.value, reward.status, reward.verdict()) == says


@given(st.floats(-1e6, 1e6))
def test_no_reward_that_counts_looks_like_none(value):
    shown = figure(value)
    assert (float(shown) == 0) == (value == 0)
    assert abs(float(shown) - value) <= 0.005 + 1e-9 * abs(value)


@given(st.text(max_size=400), st.integers(10, 90))
def test_a_shortened_text_keeps_its_beginning(text, most):
    whole = " ".join(text.split())
    short = shorten(text, most)
    assert len(short) <= most
    assert "\n" not in short
    if short != whole:
        begins, _, ends = short.partition(" … ") if " … " in short else (short, "", "")
        assert whole.startswith(begins)
        assert len(begins) >= len(ends)


def test_questions_that_begin_alike_stay_apart():
    asked = [f"{'Write a function that sums a list. ' * 9}Example {n}: ..." for n in (1, 2)]
    short = [shorten(text, 60) for text in asked]
    assert short[0] != short[1]
    assert all(text.startswith("Write a function") for text in short)


class Halfway(rlenv.SingleTurnEnv):
    """Solved at 2, and a reward of 1 is half of it."""

    solved_at = 2.0
    reward_range = (0.0, 2.0)


def test_a_run_shows_its_episodes_in_words():
    task = rlenv.Task("Once upon a time " * 20 + "what is 1 + 1?")
    env = Halfway()
    said = [{"role": "assistant", "content": "2"}]
    rewards = [rlenv.Reward(2.0), rlenv.Reward(1.0), rlenv.Reward(0.0), rlenv.Reward.failed("x")]
    kept = [Trajectory(task, [], [], [], reward=r, messages=said).record(env) for r in rewards]
    assert [e["status"] for e in kept] == ["ok", "ok", "ok", "grader_error"]  # for machines

    screen = io.StringIO()
    console = Console(file=screen, width=200, highlight=False)
    Display(console).episodes(kept, most=4)
    lines = screen.getvalue().splitlines()
    words = ["2.00 right", "1.00 partly", "0.00 wrong", "not judged"]
    assert [line.endswith(word) for line, word in zip(lines, words, strict=True)] == [True] * 4
    assert all(line.lstrip().startswith("Once upon a time") for line in lines)
    assert all("1 + 1?" in line for line in lines)
