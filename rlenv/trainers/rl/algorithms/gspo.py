"""GSPO: group sequence policy optimization (Zheng et al. 2025).

Rewards are given to sequences, so the ratio that is clipped is that of the sequence.
"""

from __future__ import annotations

import torch

from rlenv.trainers.rl.algorithms import LossInputs, loss
from rlenv.trainers.rl.algorithms.grpo import clipped
from rlenv.trainers.rl.shapes import PerToken


@loss("gspo", aggregate="sequence", clip_low=3e-4, clip_high=4e-4)  # the range of section 5.1
def sequence_surrogate(x: LossInputs) -> PerToken:
    """The clipped surrogate of each sequence (eq. 5), spread over its tokens: (B, T)."""
    return clipped(x, sequence_ratio(x))


def sequence_ratio(x: LossInputs) -> PerToken:
    """The ratio of the sequences' likelihoods, to the power of 1 / length (eq. 7): (B, T).

    Its value is that of the sequence at every token and its gradient that of the token, which is
    the same for equal advantages and right for advantages that differ from turn to turn
    (GSPO-token, section 4.3).
    """
    gap = (x.logprobs - x.old_logprobs) * x.mask
    mean = gap.sum(1, keepdim=True) / x.mask.sum(1, keepdim=True).clamp(min=1)  # (B, 1)
    return torch.exp(mean.detach() + x.logprobs - x.logprobs.detach())
