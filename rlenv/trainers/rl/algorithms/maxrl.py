"""MaxRL: maximum likelihood reinforcement learning (Tajwar et al. 2026)."""

from __future__ import annotations

import torch

from rlenv.trainers.rl.algorithms import advantages, centred, count, loss
from rlenv.trainers.rl.algorithms.grpo import clipped_surrogate
from rlenv.trainers.rl.shapes import PerSample


@advantages("maxrl")
def relative_to_success(rewards: PerSample, mask: PerSample) -> PerSample:
    """How much better than its group, in units of the group's mean reward (algorithm 1).

    With rewards of 0 and 1 the mean estimates the chance of success p, and the gradient of log p
    (eq. 4, as a series eq. 5) is that of p divided by p: rare successes weigh more. Over G samples
    it is the first G - 1 terms of the series. rewards, mask: (P, G), rewards not negative. Returns
    advantages (P, G); 0 throughout a group without a success.
    """
    mean = (rewards * mask).sum(1, keepdim=True) / count(mask)
    return torch.where(mean > 0, centred(rewards, mask) / mean.clamp(min=1e-6), 0.0)


loss("maxrl", aggregate="token", clip_low=0.2, clip_high=0.2)(clipped_surrogate)
