"""GRPO: group relative policy optimization (Shao et al. 2024, DeepSeekMath, section 4.1)."""

from __future__ import annotations

import torch

from rlenv.trainers.rl.algorithms import LossInputs, advantages, centred, loss
from rlenv.trainers.rl.shapes import PerSample, PerToken


@advantages("grpo")
def group_normalised(rewards: PerSample, mask: PerSample) -> PerSample:
    """How much better than its group, in standard deviations (section 4.1.2).

    rewards: (P, G), one row a task, one column a sample. mask: (P, G), 0 where a grader failed.
    Returns advantages (P, G); 0 throughout a group whose rewards are all equal.
    """
    above = centred(rewards, mask)
    variance = (above**2).sum(1, keepdim=True) / (mask.sum(1, keepdim=True) - 1).clamp(min=1)
    return above / (variance.sqrt() + 1e-4)


@loss("grpo", aggregate="sequence", clip_low=0.2, clip_high=0.2)
def clipped_surrogate(x: LossInputs) -> PerToken:
    """The clipped surrogate of each token (eq. 3, from PPO; Schulman et al. 2017, eq. 7)."""
    return clipped(x, torch.exp(x.logprobs - x.old_logprobs))


def clipped(x: LossInputs, ratio: PerToken) -> PerToken:
    """The smaller of the ratio's and the clipped ratio's gain, negated: (B, T)."""
    x.metrics["clip_ratio/low_mean"] = (ratio < 1 - x.clip_low) & (x.advantages < 0)
    x.metrics["clip_ratio/high_mean"] = (ratio > 1 + x.clip_high) & (x.advantages > 0)
    bounded = ratio.clamp(1 - x.clip_low, 1 + x.clip_high)
    return -torch.minimum(ratio * x.advantages, bounded * x.advantages)
