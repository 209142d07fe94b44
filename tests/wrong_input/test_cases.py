"""Every case of wrong input ends in a sentence that says what to do."""

from collections import Counter

import pytest

from tests.wrong_input.cases import CASES
from tests.wrong_input.harness import run_here


@pytest.mark.parametrize("case", [pytest.param(c, id=c.name.replace(" ", "-")) for c in CASES])
def test_wrong_input_ends_in_a_sentence(case, places, tmp_path):
    outcome = run_here(case, places, tmp_path)
    assert not outcome.complaints(case), outcome.text


def test_there_are_at_least_200_different_cases():
    assert len(CASES) >= 200
    twice = [name for name, count in Counter(case.name for case in CASES).items() if count > 1]
    assert not twice
