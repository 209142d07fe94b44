"""GRPO: group relative policy optimization (Shao et al. 2024, DeepSeekMath, section 4.1)."""

from __future__ import annotations

import torch
from torch import Tensor

from trainers.algorithms import LossInputs, advantages, loss


@advantages("grpo")
def group_normalised(rewards: Tensor, mask: Tensor) -> Tensor:
    """How much better than its group, in standard deviations (section 4.1.2).

    rewards: (P, G), one row a task, one column a sample. mask: (P, G), 0 where a grader failed.
    Returns advantages (P, G); 0 throughout a group whose rewards are all equal.
    """
    # counted from the group's lowest, equal rewards are exactly 0 and not a rounding error
    lowest = rewards.masked_fill(mask == 0, torch.inf).amin(1, keepdim=True)
    rewards = torch.where(mask > 0, rewards - lowest, 0.0)
    count = mask.sum(1, keepdim=True).clamp(min=1)
    mean = (rewards * mask).sum(1, keepdim=True) / count
    variance = ((rewards - mean) ** 2 * mask).sum(1, keepdim=True) / (count - 1).clamp(min=1)
    return (rewards - mean) / (variance.sqrt() + 1e-4) * mask


@loss("grpo")
def clipped_surrogate(x: LossInputs) -> Tensor:
    """The clipped surrogate of each token (eq. 3, from PPO; Schulman et al. 2017, eq. 7)."""
    ratio = torch.exp(x.logprobs - x.old_logprobs)  # (B, T)
    clipped = ratio.clamp(1 - x.clip_low, 1 + x.clip_high)
    return -torch.minimum(ratio * x.advantages, clipped * x.advantages)
