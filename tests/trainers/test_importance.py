import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlenv.trainers.rl.importance_sampling import truncated_importance_weights

LOGPROB = st.floats(-20, 0)


def rows(tokens):
    """Rows of (logprob, sampled logprob, mask), all of one length."""
    token = st.tuples(LOGPROB, LOGPROB | st.just(math.nan), st.integers(0, 1))
    return st.lists(st.lists(token, min_size=tokens, max_size=tokens), min_size=1, max_size=4)


@given(st.integers(1, 5).flatmap(rows), st.floats(1, 10), st.sampled_from(["token", "sequence"]))
def test_weights_are_truncated_ratios(batch, cap, level):
    pi, mu, mask = torch.tensor(batch, dtype=torch.float64).unbind(-1)
    found = truncated_importance_weights(pi, mu, mask, cap=cap, level=level)
    for row, weights in zip(batch, found.tolist(), strict=True):
        gaps = [0.0 if math.isnan(m) else p - m for p, m, sampled in row if sampled]
        for (p, m, sampled), weight in zip(row, weights, strict=True):
            gap = sum(gaps) if level == "sequence" else 0.0 if math.isnan(m) else p - m
            wanted = min(math.exp(gap), cap) if sampled else 1.0
            assert weight == pytest.approx(wanted, rel=1e-9)


def test_no_gradient_flows_through_a_weight():
    logprobs = torch.zeros(1, 2, requires_grad=True)
    weights = truncated_importance_weights(logprobs, torch.zeros(1, 2), torch.ones(1, 2), cap=2.0)
    assert not weights.requires_grad
    assert torch.equal(weights, torch.ones(1, 2))


def test_the_corrected_gradient_is_that_of_the_policy():
    """E_mu[min(pi/mu, cap) f] is E_pi[f] where no ratio reaches the cap."""
    pi = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    mu = torch.tensor([0.4, 0.4, 0.2], dtype=torch.float64)
    f = torch.tensor([1.0, -2.0, 5.0], dtype=torch.float64)
    weights = truncated_importance_weights(
        pi.log()[:, None], mu.log()[:, None], torch.ones(3, 1), cap=2.0
    )[:, 0]
    assert (mu * weights * f).sum() == pytest.approx((pi * f).sum())
    clipped = truncated_importance_weights(
        pi.log()[:, None], mu.log()[:, None], torch.ones(3, 1), cap=1.0
    )[:, 0]
    assert clipped.tolist() == pytest.approx([1.0, 0.75, 1.0])
