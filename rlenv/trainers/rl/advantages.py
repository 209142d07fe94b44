"""From what the turns of episodes earned to the advantages of their tokens, in a batch.

Grids are (P, G, K): P tasks, G rollouts of each, K turns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rlenv.core.trajectory import Group, Trajectory
from rlenv.trainers.rl.algorithms.dapo import soft_overlong_punishment
from rlenv.trainers.rl.algorithms.ppo import whitened
from rlenv.trainers.rl.batch import Batch
from rlenv.trainers.rl.critic import explained_variance
from rlenv.trainers.rl.importance_sampling import truncated_importance_weights
from rlenv.trainers.rl.kl import divergence
from rlenv.trainers.rl.learner import Learner
from rlenv.trainers.rl.settings import CriticSettings, OnPolicySettings, OverlongSettings

Source = tuple[int, int]  # the number of a group, and of a rollout in it


@dataclass(frozen=True)
class TrainingBatch:
    """What there is to train on.

    Attributes:
        batch: with advantages; None if there is nothing to learn from.
        sources: the group and the rollout that each of its rows comes from.
        metrics: of making it.
    """

    batch: Batch | None
    sources: list[Source]
    metrics: dict[str, float]

    def minibatches(self, count: int) -> list[Batch]:
        """Cut the batch into so many minibatches, or fewer, leaving groups whole."""
        assert self.batch is not None
        groups = torch.tensor([group for group, _ in self.sources])
        cuts = torch.unique(groups).chunk(count)
        return [self.batch.rows(torch.isin(groups, cut).nonzero()[:, 0]) for cut in cuts]


class AdvantageEstimator:
    """Makes batches with advantages, the way the settings and the algorithm say.

    Args:
        settings: of the stage.
        learner: asked for values and for the reference's logprobs.
        pad: the token to pad with.
    """

    def __init__(self, settings: OnPolicySettings, learner: Learner, pad: int) -> None:
        self.s, self.learner, self.pad = settings, learner, pad
        self.algorithm = learner.algorithm
        self._by_turn = settings.critic is not None or settings.credit == "turn"

    def rewards(self, groups: Sequence[Group]) -> tuple[Tensor, Tensor]:
        """Return what each turn earned, clipped, less what its length costs, and which count."""
        rewards, played = turn_rewards(groups, self._by_turn, self.s.reward_clip)
        if self.s.overlong is not None:
            costs = overlong_penalties(groups, self._by_turn, self.s.max_tokens, self.s.overlong)
            rewards = rewards + costs * played
        return rewards, played

    def has_signal(self, groups: Sequence[Group]) -> Tensor:
        """Return which groups hold a difference to learn from: (P,) of bool.

        A critic compares a rollout with what it expected, not with the others of its group; with
        one, all groups have a signal or, where all rewards of the batch are equal, none has.
        """
        rewards, played = self.rewards(groups)
        if self.s.critic is None:
            return has_signal(rewards, played)
        total = rewards.sum(-1)[played.any(-1)]
        return torch.full((len(groups),), torch.unique(total).numel() > 1)

    def estimate(self, groups: Sequence[Group], *, with_reference_kl: bool) -> TrainingBatch:
        """Make a batch of all rollouts that were judged.

        Args:
            groups: of the step.
            with_reference_kl: ask the reference policy, even where nothing depends on it.
        """
        sources = [
            (number, column)
            for number, group in enumerate(groups)
            for column, t in enumerate(group.trajectories)
            if t.reward.judged and t.sampled_tokens
        ]
        if not sources:
            return TrainingBatch(None, [], {})
        rewards, played = self.rewards(groups)
        if self.s.critic is not None:
            made = self._with_critic(groups, sources, rewards)
        else:
            made = self._from_groups(groups, sources, rewards, played)
        if made.batch is None:
            return made
        return self._compared(made, with_reference_kl=with_reference_kl)

    def _batch(self, groups: Sequence[Group], sources: Sequence[Source]) -> Batch:
        return Batch.of([groups[g].trajectories[i] for g, i in sources], pad=self.pad)

    def _from_groups(
        self, groups: Sequence[Group], sources: list[Source], rewards: Tensor, played: Tensor
    ) -> TrainingBatch:
        row, column = torch.tensor(sources).unbind(1)
        if self._charges_reward:
            everything = self._batch(groups, sources)
            costs = everything.sum_by_turn(self._token_costs(everything))  # (B, K)
            if not self._by_turn:
                costs = costs.sum(1, keepdim=True)
            rewards = rewards.clone()
            rewards[row, column, : costs.shape[1]] -= costs
        returns = rewards_to_go(rewards, self.s.gamma)
        grid = group_advantages(self.algorithm.advantages, returns, played)
        useful = grid.abs().sum((1, 2)) > 0
        kept = [
            (g, i)
            for g, i in sources
            if useful[g] and not (self.s.drop_truncated and groups[g].trajectories[i].truncated)
        ]
        if not kept:
            return TrainingBatch(None, [], {})
        row, column = torch.tensor(kept).unbind(1)
        batch = self._batch(groups, kept)
        return TrainingBatch(replace(batch, advantages=batch.spread(grid[row, column])), kept, {})

    def _with_critic(
        self, groups: Sequence[Group], sources: list[Source], rewards: Tensor
    ) -> TrainingBatch:
        assert self.s.critic is not None
        if self.s.drop_truncated:
            sources = [(g, i) for g, i in sources if not groups[g].trajectories[i].truncated]
        if not sources:
            return TrainingBatch(None, [], {})
        row, column = torch.tensor(sources).unbind(1)
        batch = self._batch(groups, sources)
        batch = replace(batch, values=self.learner.values(batch))
        costs = self._token_costs(batch) if self._charges_reward else None
        batch = critic_advantages(
            batch,
            rewards[row, column],
            costs,
            self.algorithm.advantages,
            self.s.gamma,
            self.s.critic,
        )
        assert batch.values is not None
        assert batch.returns is not None
        assert batch.value_mask is not None
        explained = explained_variance(batch.values, batch.returns, batch.value_mask)
        return TrainingBatch(batch, sources, {"explained_variance": explained})

    @property
    def _charges_reward(self) -> bool:
        return self.s.kl.place == "reward" and self.learner.kl.value > 0

    def _token_costs(self, batch: Batch) -> Tensor:
        """Return what each token's distance from the reference costs: (B, T)."""
        reference = self.learner.reference_logprobs(batch)
        found = divergence(batch.old_logprobs, reference, self.s.kl.charged)
        # a token for which a server gave no logprob costs nothing
        return self.learner.kl.value * found.nan_to_num(0.0) * batch.mask

    def _compared(self, made: TrainingBatch, *, with_reference_kl: bool) -> TrainingBatch:
        """Add what other policies say of the tokens: the reference, and the model itself."""
        batch, metrics = made.batch, dict(made.metrics)
        assert batch is not None
        if self.s.kl.coefficient or (with_reference_kl and self.learner.policy.has_reference):
            batch = replace(batch, reference=self.learner.reference_logprobs(batch))
        if self.s.importance_cap is not None:
            batch, found = self._corrected(batch, self.s.importance_cap)
            metrics |= found
        return replace(made, batch=batch, metrics=metrics)

    def _corrected(self, batch: Batch, cap: float) -> tuple[Batch, dict[str, float]]:
        """Take the model's own logprobs for old ones, and weigh tokens by what they differ by."""
        sampled, ours, on = batch.old_logprobs, self.learner.logprobs(batch), batch.mask > 0
        ratio = truncated_importance_weights(ours, sampled, batch.mask, cap=cap)
        gap = (ours - sampled).nan_to_num(0.0)[on].abs()
        return replace(batch, old_logprobs=ours, importance=ratio), {
            "sampling/sampling_logp_difference/mean": float(gap.mean()),
            "sampling/sampling_logp_difference/max": float(gap.max()),
            "sampling/importance_sampling_ratio/min": float(ratio[on].min()),
            "sampling/importance_sampling_ratio/mean": float(ratio[on].mean()),
            "sampling/importance_sampling_ratio/max": float(ratio[on].max()),
        }


def turn_rewards(
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
        [_rewards_of(t) if by_turn else [t.reward.value] for t in g.trajectories] for g in groups
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


def _rewards_of(trajectory: Trajectory) -> list[float]:
    # a trajectory without turns was made by hand, or the policy never got to say anything
    return trajectory.turn_rewards or [trajectory.reward.value]


def overlong_penalties(
    groups: Sequence[Group], by_turn: bool, longest: int, s: OverlongSettings
) -> Tensor:
    """Return what the turns' lengths cost, 0 or less: (P, G, K), as `turn_rewards` has it.

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


def rewards_to_go(rewards: Tensor, gamma: float) -> Tensor:
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


def has_signal(returns: Tensor, played: Tensor) -> Tensor:
    """Return which groups hold a turn after which rollouts fared differently: (P,) of bool."""
    lowest = returns.masked_fill(played == 0, torch.inf).amin(1)
    highest = returns.masked_fill(played == 0, -torch.inf).amax(1)
    return (highest > lowest).any(-1)


def critic_advantages(
    batch: Batch,
    rewards: Tensor,
    token_costs: Tensor | None,
    function: Callable[..., Tensor],
    gamma: float,
    s: CriticSettings,
) -> Batch:
    """Fill in the advantages of an algorithm with a critic, and the returns it should have seen.

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
