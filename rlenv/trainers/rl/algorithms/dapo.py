"""DAPO: decoupled clip and dynamic sampling policy optimization (Yu et al. 2025).

Four changes to GRPO, each a setting of the stage, so that any algorithm can take one up, or this
one leave it out:

- clip-higher (section 3.1, eq. 10): `clip_high` above `clip_low`;
- dynamic sampling (section 3.2, eq. 11): `max_refills` rounds of sampling in place of the groups
  whose rewards are all equal;
- the mean over all tokens of the batch (section 3.3, eq. 12): `aggregate: token`;
- overlong reward shaping (section 3.4, eq. 13): `overlong`. Overlong filtering, which the paper
  tries in its place, is `drop_truncated`.
"""

from __future__ import annotations

from torch import Tensor

from rlenv.trainers.rl.algorithms import advantages, loss
from rlenv.trainers.rl.algorithms.grpo import clipped_surrogate, group_normalised

# eq. 8 and 9; the clipping range is that of section 4.1
advantages("dapo", max_refills=4, overlong={})(group_normalised)
loss("dapo", aggregate="token", clip_low=0.2, clip_high=0.28)(clipped_surrogate)


def soft_overlong_punishment(lengths: Tensor, longest: int, buffer: int) -> Tensor:
    """Return a penalty in [-1, 0] for replies that come near the limit (eq. 13).

    Args:
        lengths: of replies, in tokens, any shape.
        longest: L_max, beyond which a reply is cut off.
        buffer: L_cache, the last tokens before the limit, in which the penalty grows.
    """
    return ((longest - buffer - lengths) / buffer).clamp(-1.0, 0.0)
