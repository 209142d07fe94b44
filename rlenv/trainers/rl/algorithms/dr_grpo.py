"""Dr. GRPO: GRPO without its two biases (Liu et al. 2025, Understanding R1-Zero-Like Training)."""

from __future__ import annotations

from rlenv.trainers.rl.algorithms import advantages, centred, loss
from rlenv.trainers.rl.algorithms.grpo import clipped_surrogate
from rlenv.trainers.rl.shapes import PerSample


@advantages("dr_grpo")
def group_centred(rewards: PerSample, mask: PerSample) -> PerSample:
    """How much better than its group, in units of reward (section 3.2).

    Not divided by the standard deviation, which would weigh tasks by how even their outcomes are.
    rewards, mask: (P, G). Returns advantages (P, G).
    """
    return centred(rewards, mask)


# a sum over tokens, divided by the same constant for all, so that long wrong replies are not
# pushed down less than short ones (section 3.2 and listing 1)
loss("dr_grpo", aggregate="constant")(clipped_surrogate)
