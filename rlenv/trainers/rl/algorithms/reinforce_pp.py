"""REINFORCE++ with baseline (Hu et al. 2025): normalised by the batch, not by the group."""

from __future__ import annotations

from rlenv.trainers.rl.algorithms import advantages, centred, loss
from rlenv.trainers.rl.algorithms.grpo import clipped_surrogate
from rlenv.trainers.rl.shapes import PerSample


@advantages("reinforce_pp", kl={"estimator": "k2"})
def batch_normalised(rewards: PerSample, mask: PerSample) -> PerSample:
    """How much better than its group, in standard deviations of the whole batch.

    The group's mean comes off first, then the batch is whitened (the variant "w/ Baseline"). The
    centred rewards of each group add up to 0, so the batch's mean is 0 already.
    rewards, mask: (P, G). Returns advantages (P, G).
    """
    above = centred(rewards, mask)
    variance = (above**2).sum() / (mask.sum() - 1).clamp(min=1)
    return above / (variance.sqrt() + 1e-4)


loss("reinforce_pp", aggregate="token", clip_low=0.2, clip_high=0.2)(clipped_surrogate)
