import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlenv.common.errors import UserError
from rlenv.common.settings import parse
from rlenv.rollouts.curriculum import Curriculum, CurriculumSettings


def settings(**values):
    return CurriculumSettings(**{"start": 1, "highest": 4, "window": 10, **values})


def test_rises_when_a_full_window_is_solved():
    curriculum = Curriculum(settings())
    assert curriculum.record([True] * 9) == 1
    assert curriculum.record([True]) == 2
    assert curriculum.record([True] * 5) == 2, "what was solved at level 1 no longer counts"
    assert curriculum.record([True] * 500) == 3, "one level a call"
    assert curriculum.record([True] * 10) == 4
    assert curriculum.record([True] * 10) == 4


def test_falls_only_where_it_may():
    assert Curriculum(settings()).record([False] * 50) == 1
    falling = Curriculum(settings(start=3, lowest=2, lower_at=0.2))
    assert falling.record([False] * 10) == 2
    assert falling.record([False] * 10) == 2
    steady = Curriculum(settings(start=3, lowest=2, lower_at=0.2))
    assert steady.record([True, False] * 5) == 3


def test_it_moves_at_its_marks_to_the_episode():
    """From a rate of raise_at on it goes up, and only below lower_at it goes down."""
    marks = settings(start=2, lowest=1, raise_at=0.8, lower_at=0.2)
    expected = {10: 3, 9: 3, 8: 3, 7: 2, 3: 2, 2: 2, 1: 1, 0: 1}
    found = {n: Curriculum(marks).record([True] * n + [False] * (10 - n)) for n in expected}
    assert found == expected


def test_the_window_is_the_last_episodes_of_the_level():
    curriculum = Curriculum(settings(raise_at=0.8))
    assert curriculum.record([True] * 7 + [False] * 3) == 1
    assert curriculum.success == 0.7
    # each call drops the oldest, which were solved, and then those that were not
    assert curriculum.record([True] * 7) == 1
    assert curriculum.record([True]) == 2
    assert curriculum.success == 0
    begun = Curriculum(settings(start=4, lowest=2))
    begun.load_state_dict({"level": 9, "outcomes": [False] * 30 + [True] * 5})
    assert (begun.level, begun.success) == (4, 0.5)
    begun.load_state_dict({"level": 1, "outcomes": []})
    assert begun.level == 2


def test_what_is_left_out_of_its_settings():
    assert CurriculumSettings(start=2, highest=5).floor == 2
    assert CurriculumSettings(start=2, highest=5).evaluated == 5
    made = CurriculumSettings(start=2, lowest=1, highest=5, held_out=3)
    assert (made.floor, made.evaluated) == (1, 3)


episodes = st.lists(st.lists(st.booleans(), max_size=30), max_size=20)


@given(episodes, st.integers(0, 20), st.integers(1, 25))
def test_a_restored_curriculum_goes_on_alike(steps, cut, window):
    moving = settings(start=2, lowest=1, lower_at=0.3, raise_at=0.7, window=window)
    whole, before, after = (Curriculum(moving) for _ in range(3))
    levels = [whole.record(step) for step in steps]
    for step in steps[:cut]:
        before.record(step)
    after.load_state_dict(before.state_dict())
    assert [after.record(step) for step in steps[cut:]] == levels[cut:]
    assert all(1 <= level <= 4 for level in levels)


def test_its_state_survives_a_safe_load(tmp_path):
    curriculum = Curriculum(settings())
    curriculum.record([True] * 12)
    torch.save(curriculum.state_dict(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    other = Curriculum(settings())
    other.load_state_dict(state)
    assert other.state_dict() == curriculum.state_dict()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"start": 5}, "between lowest and highest"),
        ({"start": 0, "lowest": 1}, "between lowest and highest"),
        ({"lower_at": 0.9}, "below raise_at"),
        ({"lower_at": 0.8, "raise_at": 0.8}, "below raise_at"),
        ({"windw": 3}, "Did you mean window"),
    ],
)
def test_what_no_curriculum_is(values, message):
    with pytest.raises(UserError, match=message):
        parse(CurriculumSettings, {"highest": 4, **values}, "here", "grpo.curriculum.")
