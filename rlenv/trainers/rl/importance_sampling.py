"""Correcting for a sampler that is not quite the policy.

A server that generates in another precision, with other kernels, or with weights of a step ago
samples from a distribution mu that is near the policy pi and is not pi.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor


@torch.no_grad()
def truncated_importance_weights(
    logprobs: Tensor,
    sampled_logprobs: Tensor,
    mask: Tensor,
    *,
    cap: float,
    level: Literal["token", "sequence"] = "token",
) -> Tensor:
    """Return min(pi / mu, cap), what each token's loss is multiplied by.

    Truncating the ratio bounds the variance at the price of some bias (Ionides 2008, "Truncated
    Importance Sampling", eq. 3; Espeholt et al. 2018, IMPALA, eq. 1, where the weight is rho).

    Args:
        logprobs: (B, T), of the sampled tokens under the policy as it was when it was sampled
            from, computed by the trainer.
        sampled_logprobs: (B, T), as the sampler gave them; NaN where it gave none, which leaves
            the token uncorrected.
        mask: (B, T), 1 where the policy sampled the token.
        cap: the largest weight, 1 or more.
        level: `token`: a ratio a token. `sequence`: one a row, the product over its tokens.

    Returns:
        (B, T) without gradient, 1 outside the mask.
    """
    gap = ((logprobs - sampled_logprobs) * mask).nan_to_num(0.0)
    if level == "sequence":
        gap = gap.sum(1, keepdim=True).expand_as(gap)
    return torch.where(mask > 0, gap.exp().clamp(max=cap), 1.0)
