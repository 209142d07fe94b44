"""BNPO as TRL's `loss_type="bnpo"` means it: GRPO, averaged over all tokens of the batch.

It is not the Beta normalization of Xiao et al. (2025), from which TRL took the name.
"""

from __future__ import annotations

from rlenv.trainers.rl.algorithms import loss
from rlenv.trainers.rl.algorithms.grpo import clipped_surrogate

loss("bnpo", aggregate="token", clip_low=0.2, clip_high=0.2)(clipped_surrogate)
