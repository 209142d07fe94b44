"""The report on held-out pairs, against counting by hand."""

import math

import pytest
import torch

from rlenv.data.preferences import Pair
from rlenv.evaluation import pass_at_1
from rlenv.trainers.preference.report import Report, sentence


def pair(question):
    return Pair(({"role": "user", "content": question},), "a", "b")


def report(margins, lengths=None, members=1, swapped=None):
    margins = torch.tensor(margins, dtype=torch.float)
    if margins.ndim == 1:
        margins = margins.repeat(members, 1)
    count = margins.shape[1]
    return Report(
        [pair(f"q{n // 2}") for n in range(count)],
        chosen=margins,
        rejected=torch.zeros_like(margins),
        swapped=margins if swapped is None else torch.tensor(swapped),
        lengths=torch.tensor(lengths or [[1, 1]] * count),
    )


def test_accuracy_counts_equal_scores_as_wrong():
    accuracy = report([1.0, 2.0, -1.0, 0.0]).accuracy()
    assert accuracy["value"] == 0.5
    assert accuracy["pairs"] == 4
    assert accuracy["low"] < 0.5 < accuracy["high"]


def test_pairs_of_one_prompt_are_no_independent_evidence():
    """Twice the same outcome for each prompt: the interval is that of half as many pairs."""
    found = report([1.0, 1.0, -1.0, -1.0] * 10).accuracy()
    half = pass_at_1([[True], [False]] * 10)
    assert (found["low"], found["high"]) == (half.low, half.high)


def test_calibration_against_counting():
    torch.manual_seed(0)
    margins = (2 * torch.randn(400)).tolist()
    error = 0.0
    for low in (0.5, 0.6, 0.7, 0.8, 0.9):
        inside = [
            (1 / (1 + math.exp(-abs(m))), m > 0)
            for m in margins
            if low <= 1 / (1 + math.exp(-abs(m))) < low + 0.1
        ]
        if inside:
            sure = sum(p for p, _ in inside) / len(inside)
            right = sum(r for _, r in inside) / len(inside)
            error += len(inside) / 400 * abs(sure - right)
    found = report(margins).calibration()
    assert found["expected_error"] == pytest.approx(error, abs=1e-4)
    assert sum(b["pairs"] for b in found["bins"]) == 400


def test_length_bias():
    # it takes the longer reply in 3 of 4 pairs of different lengths, as people do
    found = report([1, 1, -1, -1, 5], [[9, 1], [8, 2], [1, 7], [9, 3], [4, 4]]).length_bias()
    assert found["prefers_longer"] == 0.75
    assert found["people_prefer_longer"] == 0.75
    # 2 of 2 pairs of the first prompt, 0 of 1 of the second
    assert found["accuracy_chosen_longer"]["value"] == 0.5
    assert found["accuracy_chosen_shorter"]["value"] == 0
    assert report([1, 1], [[3, 3], [4, 4]]).length_bias() == {}


def test_position_bias_is_seen():
    found = report([1.0, 1.0], swapped=[[1.0, -0.5]]).position_bias()
    assert found == {"changed": 0.5, "largest_difference": 1.5}


def test_disagreement():
    found = report([[1.0, 1.0, -1.0, 3.0], [2.0, -2.0, -1.0, -1.0]]).figures()
    ensemble = found["ensemble"]
    assert ensemble["members"] == 2
    assert ensemble["member_accuracy"] == [0.75, 0.25]
    assert ensemble["disputed"] == 0.5
    assert ensemble["accuracy_agreed"]["value"] == 0.5
    assert found["accuracy"]["value"] == 0.5  # of the means 1.5, -0.5, -1 and 1
    assert "members disagree on 50%" in sentence(found)
