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
        ({"lower_at": 0.9}, "below raise_at"),
        ({"windw": 3}, "Did you mean window"),
    ],
)
def test_what_no_curriculum_is(values, message):
    with pytest.raises(UserError, match=message):
        parse(CurriculumSettings, {"highest": 4, **values}, "here", "grpo.curriculum.")
