"""Whose doing a reward was: from what the turns of episodes earned to advantages of tokens.

Grids are (P, G, K): P tasks, G rollouts of each, K turns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from rlenv.core.trajectory import Group, Trajectory
from rlenv.trainers.rl.algorithms.dapo import soft_overlong_punishment
from rlenv.trainers.rl.algorithms.ppo import whitened
from rlenv.trainers.rl.batch import Batch
from rlenv.trainers.rl.settings import CriticSettings, OverlongSettings


def turn_grid(
    groups: Sequence[Group], by_turn: bool, clip: tuple[float, float] | None = None
) -> tuple[Tensor, Tensor]:
    """Return what each turn earned, and which turns there are.

    Args:
        groups: P groups of G trajectories.
        by_turn: one column a turn; otherwise one column with the total of each episode.
        clip: the least and the most that an entry counts for.

    Returns:
        rewards (P, G, K), and a mask (P, G, K) that is 0 where an episode had no such turn or its
        grader failed.
    """
    earned = [
        [_turn_rewards(t) if by_turn else [t.reward.value] for t in g.trajectories] for g in groups
    ]
    turns = max(len(row) for group in earned for row in group)
    rewards = torch.tensor([[r + [0.0] * (turns - len(r)) for r in group] for group in earned])
    played = torch.tensor(
        [
            [
                [float(k < len(r) and t.reward.judged) for k in range(turns)]
                for r, t in zip(row, group.trajectories, strict=True)
            ]
            for row, group in zip(earned, groups, strict=True)
        ]
    )
    if clip is not None:
        rewards = rewards.clamp(*clip)
    return torch.where(played > 0, rewards, 0.0), played


def _turn_rewards(trajectory: Trajectory) -> list[float]:
    # a trajectory without turns was made by hand, or the policy never got to say anything
    return trajectory.turn_rewards or [trajectory.reward.value]


def overlong_grid(
    groups: Sequence[Group], by_turn: bool, longest: int, s: OverlongSettings
) -> Tensor:
    """Return what the turns' lengths cost, 0 or less: (P, G, K), as `turn_grid` has it.

    Args:
        groups: P groups of G trajectories.
        by_turn: one column a turn; otherwise one column with the total of each episode.
        longest: max_tokens of a turn.
        s: how the penalty grows.
    """
    lengths = [[_turn_lengths(t) for t in g.trajectories] for g in groups]
    turns = max(len(row) for group in lengths for row in group)
    grid = torch.tensor([[r + [0.0] * (turns - len(r)) for r in group] for group in lengths])
    buffer = s.buffer or max(1, longest // 5)
    costs = s.penalty * soft_overlong_punishment(grid, longest, buffer)
    return costs if by_turn else costs.sum(-1, keepdim=True)


def _turn_lengths(trajectory: Trajectory) -> list[float]:
    starts = [0, *trajectory.turn_ends[:-1]]
    ends = trajectory.turn_ends or [len(trajectory.loss_mask)]
    return [float(sum(trajectory.loss_mask[a:b])) for a, b in zip(starts, ends, strict=True)]


def to_go(rewards: Tensor, gamma: float) -> Tensor:
    """Return what was earned from each turn on, discounted by gamma a turn: (..., K)."""
    result = rewards.clone()
    for k in reversed(range(rewards.shape[-1] - 1)):
        result[..., k] += gamma * result[..., k + 1]
    return result


def group_advantages(
    function: Callable[[Tensor, Tensor], Tensor], returns: Tensor, played: Tensor
) -> Tensor:
    """Compare, turn by turn, what the rollouts of a task earned from that turn on.

    The rollouts of a group are independent, so the others are a baseline without bias at every
    turn, though they are no longer in the same state.

    Args:
        function: an algorithm's advantages, of (P, G) rewards and mask.
        returns: (P, G, K).
        played: (P, G, K).
    """
    columns = [function(returns[..., k], played[..., k]) for k in range(returns.shape[-1])]
    return torch.stack(columns, dim=-1)


def teaches(returns: Tensor, played: Tensor) -> Tensor:
    """Return which groups hold a turn after which rollouts fared differently: (P,) of bool."""
    lowest = returns.masked_fill(played == 0, torch.inf).amin(1)
    highest = returns.masked_fill(played == 0, -torch.inf).amax(1)
    return (highest > lowest).any(-1)


def with_critic(
    batch: Batch,
    rewards: Tensor,
    token_costs: Tensor | None,
    function: Callable[..., Tensor],
    gamma: float,
    s: CriticSettings,
) -> Batch:
    """Fill in the advantages of an algorithm with a critic, and what its values should have been.

    Args:
        batch: with `values`.
        rewards: (B, K), what each turn earned.
        token_costs: (B, T), taken off the reward of each token.
        function: the algorithm's advantages, called as `ppo.gae` is.
        gamma: discount from one action to the next.
        s: what an action is, and lambda.
    """
    assert batch.values is not None
    first, last = batch.turn_edges()
    earned = batch.spread(rewards) * last  # a turn's reward comes with its last token
    if token_costs is not None:
        earned = earned - token_costs
    acted = batch.mask
    if s.unit == "turn":
        acted = first
        earned = batch.spread(batch.sum_by_turn(earned)) * first
    advantages = function(earned, batch.values, acted, gamma, s.gae_lambda)
    returns = advantages + batch.values * acted
    if s.whiten:
        advantages = whitened(advantages, acted)
    if s.unit == "turn":
        advantages = batch.spread(batch.sum_by_turn(advantages))
    return replace(batch, advantages=advantages, returns=returns, value_mask=acted)
