"""RLOO: REINFORCE with a leave-one-out baseline (Ahmadian et al. 2024, Back to Basics)."""

from __future__ import annotations

from rlenv.trainers.rl.algorithms import LossInputs, advantages, centred, count, loss
from rlenv.trainers.rl.shapes import PerSample, PerToken


@advantages("rloo")
def leave_one_out(rewards: PerSample, mask: PerSample) -> PerSample:
    """Each reward minus the mean of the others in its row (the section on RLOO).

    r - (S - r) / (n - 1) = n / (n - 1) (r - S / n), with S the sum of the row's n rewards.
    rewards, mask: (P, G). Returns advantages (P, G); 0 for a sample that has no others.
    """
    n = count(mask)
    return centred(rewards, mask) * n / (n - 1).clamp(min=1)


@loss("rloo", aggregate="sum")
def reinforce(x: LossInputs) -> PerToken:
    """The log-likelihood of the reply times its advantage (Williams 1992): (B, T).

    A reply is one action, so its tokens' terms are added up. There is no ratio: take one update a
    batch.
    """
    return -x.advantages * x.logprobs
