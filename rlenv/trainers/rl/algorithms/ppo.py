"""PPO: proximal policy optimization with a value function (Schulman et al. 2017)."""

from __future__ import annotations

import torch

from rlenv.trainers.rl.algorithms import advantages, loss
from rlenv.trainers.rl.algorithms.grpo import clipped_surrogate
from rlenv.trainers.rl.shapes import PerToken


@advantages("ppo", critic=True, group_size=1, epochs=2)
def gae(rewards: PerToken, values: PerToken, mask: PerToken, gamma: float, lam: float) -> PerToken:
    """Generalized advantage estimation (Schulman et al. 2016, eq. 16; 2017, eq. 11 and 12).

    delta_t = r_t + gamma V_(t+1) - V_t,  A_t = delta_t + gamma lambda A_(t+1), from one action to
    the next: columns off the mask, which the environment said, are passed over. An episode is
    worth nothing after its last action.

    Args:
        rewards: (B, T), earned by the action at t.
        values: (B, T), of the state in which that action was taken.
        mask: (B, T), 1 where an action was taken.
        gamma: discount from one action to the next.
        lam: lambda; 0 trusts the values, 1 what was really earned.

    Returns:
        advantages (B, T), 0 off the mask.
    """
    result = torch.zeros_like(values)
    next_value = next_advantage = torch.zeros_like(values[:, 0])
    for t in reversed(range(values.shape[1])):
        delta = rewards[:, t] + gamma * next_value - values[:, t]
        advantage = delta + gamma * lam * next_advantage
        acted = mask[:, t] > 0
        result[:, t] = torch.where(acted, advantage, 0.0)
        next_advantage = torch.where(acted, advantage, next_advantage)
        next_value = torch.where(acted, values[:, t], next_value)
    return result


# the mean over all time steps of the clipped surrogate (2017, eq. 7)
loss("ppo", aggregate="token", clip_low=0.2, clip_high=0.2)(clipped_surrogate)


def whitened(values: PerToken, mask: PerToken) -> PerToken:
    """Return values with mean 0 and variance 1 over the mask; 0 off it.

    Args:
        values: (B, T).
        mask: (B, T).
    """
    n = mask.sum().clamp(min=1)
    mean = (values * mask).sum() / n
    variance = ((values - mean) ** 2 * mask).sum() / (n - 1).clamp(min=1)
    return (values - mean) / (variance + 1e-8).sqrt() * mask


def value_loss(
    values: PerToken, old_values: PerToken, returns: PerToken, clip: float | None
) -> PerToken:
    """Return half the squared error of each value (2017, eq. 9), the worse of clipped and not.

    Clipping is in the paper's code, not in its text (Engstrom et al. 2020, section 3).

    Args:
        values: (B, T), with gradient.
        old_values: (B, T), when the batch was sampled.
        returns: (B, T), what they should have been.
        clip: how far a value may move from its old one; None for as far as it likes.
    """
    error = (values - returns) ** 2
    if clip is not None:
        near = old_values + (values - old_values).clamp(-clip, clip)
        error = torch.maximum(error, (near - returns) ** 2)
    return 0.5 * error
