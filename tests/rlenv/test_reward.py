import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlenv import Reward, Rubric

finite = st.floats(-1e6, 1e6)


@pytest.mark.parametrize(("given_", "value"), [(True, 1.0), (False, 0.0), (0.25, 0.25), (3, 3.0)])
def test_what_an_author_may_return(given_, value):
    reward = Reward.of(given_)
    assert reward.value == value
    assert reward.judged


def test_other_results_are_refused():
    with pytest.raises(TypeError, match="score must return"):
        Reward.of("yes")  # type: ignore[arg-type]


def test_a_failed_grader_is_no_zero():
    reward = Reward.failed("the checker crashed")
    assert math.isnan(reward.value)
    assert not reward.judged
    assert math.isnan(Reward(0.0, status="grader_error").value)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_judged_reward_is_finite(value):
    with pytest.raises(ValueError, match="finite"):
        Reward(value)


def test_unknown_status():
    with pytest.raises(ValueError, match="status"):
        Reward(0.0, status="fine")  # type: ignore[arg-type]


@given(finite, finite)
def test_turns_add_up(a, b):
    total = Reward(a, {"x": a, "y": 1.0}) + Reward(b, {"x": b}, "unparseable", "odd")
    assert total.value == a + b
    assert total.components == {"x": a + b, "y": 1.0}
    assert total.status == "unparseable"


def test_a_failure_in_any_turn_stays_one():
    assert not (Reward(1.0) + Reward.failed("x")).judged
    assert not (Reward.failed("x") + Reward(1.0)).judged


@given(st.dictionaries(st.sampled_from("abcd"), finite, min_size=1), st.data())
def test_a_rubric_is_the_weighted_sum(weights, data):
    values = {name: data.draw(finite) for name in weights}
    reward = Rubric(**weights)(values)
    assert reward.value == pytest.approx(sum(weights[n] * values[n] for n in weights))
    assert reward.components == values


def test_a_gate_must_hold_for_the_others_to_count():
    rubric = Rubric(correct=1.0, format=0.1, gate="format")
    assert rubric({"correct": 1.0, "format": 0.0}).value == 0.0
    assert rubric({"correct": 1.0, "format": 1.0}).value == pytest.approx(1.1)
    assert rubric.maximum == pytest.approx(1.1)


def test_a_rubric_wants_its_own_components():
    with pytest.raises(ValueError, match="correct"):
        Rubric(correct=1.0)({"corect": 1.0})
    with pytest.raises(ValueError, match="gate"):
        Rubric(correct=1.0, gate="format")
    with pytest.raises(ValueError, match="at least one"):
        Rubric()


class Judges:
    async def correct(self, task, reply):
        await asyncio.sleep(0.01)
        return reply == task

    def brief(self, task, reply):
        return 1 / len(reply)

    async def broken(self, task, reply):
        raise LookupError("no judge")


def test_components_may_be_plain_or_async():
    reward = Rubric(correct=1.0, brief=0.5).judge(Judges(), "ab", "ab")
    assert reward.components == {"correct": 1.0, "brief": 0.5}
    assert reward.value == pytest.approx(1.25)


def test_async_components_work_inside_an_event_loop():
    async def main():
        with pytest.raises(LookupError, match="no judge"):
            Rubric(correct=1.0, broken=1.0).judge(Judges(), "ab", "ab")
        return Rubric(correct=1.0).judge(Judges(), "ab", "ab")

    assert asyncio.run(main()).value == 1.0
