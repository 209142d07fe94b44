"""CISPO: clipped importance-sampling weights (MiniMax 2025, MiniMax-M1, section 3.1)."""

from __future__ import annotations

import torch

from rlenv.trainers.rl.algorithms import LossInputs, loss
from rlenv.trainers.rl.shapes import PerToken


@loss("cispo", aggregate="token", clip_low=1.0, clip_high=4.0)
def clipped_weights(x: LossInputs) -> PerToken:
    """REINFORCE with a clipped weight that has no gradient (eq. 4 and 5): (B, T).

    Clipping the weight and not the update keeps every token's gradient. There is no lower bound
    (clip_low = 1), as in the paper; the upper one, 5, is that of Khatri et al. (2025).
    """
    ratio = torch.exp(x.logprobs - x.old_logprobs).detach()
    x.metrics["cispo_clip_ratio"] = (ratio > 1 + x.clip_high) & (x.advantages > 0)
    weight = ratio.clamp(1 - x.clip_low, 1 + x.clip_high)
    return -weight * x.advantages * x.logprobs
