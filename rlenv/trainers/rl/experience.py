"""From the groups of a step to a batch with advantages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rlenv.core.trajectory import Group
from rlenv.trainers.common.metrics import explained_variance
from rlenv.trainers.rl import returns
from rlenv.trainers.rl.batch import Batch
from rlenv.trainers.rl.importance_sampling import truncated_importance_weights
from rlenv.trainers.rl.kl import divergence
from rlenv.trainers.rl.learner import Learner
from rlenv.trainers.rl.settings import OnPolicySettings

Place = tuple[int, int]  # the number of a group, and of a rollout in it


@dataclass(frozen=True)
class Experience:
    """What there is to train on.

    Attributes:
        batch: with advantages; None if nothing teaches anything.
        places: where each of its rows comes from.
        metrics: of making it.
    """

    batch: Batch | None
    places: list[Place]
    metrics: dict[str, float]

    def parts(self, count: int) -> list[Batch]:
        """Cut the batch into so many parts, or fewer, leaving groups whole."""
        assert self.batch is not None
        groups = torch.tensor([group for group, _ in self.places])
        cuts = groups.unique().chunk(count)
        return [self.batch.rows(torch.isin(groups, cut).nonzero()[:, 0]) for cut in cuts]


class ExperienceMaker:
    """Makes batches the way the settings and the algorithm say.

    Args:
        settings: of the stage.
        learner: asked for values and for the reference's logprobs.
        pad: the token to pad with.
    """

    def __init__(self, settings: OnPolicySettings, learner: Learner, pad: int) -> None:
        self.s, self.learner, self.pad = settings, learner, pad
        self.algorithm = learner.algorithm
        self.by_turn = settings.critic is not None or settings.credit == "turn"

    def rewards(self, groups: Sequence[Group]) -> tuple[Tensor, Tensor]:
        """Return what each turn earned, clipped, less what its length costs, and which count."""
        rewards, played = returns.turn_grid(groups, self.by_turn, self.s.reward_clip)
        if self.s.overlong is not None:
            costs = returns.overlong_grid(groups, self.by_turn, self.s.max_tokens, self.s.overlong)
            rewards = rewards + costs * played
        return rewards, played

    def teaches(self, groups: Sequence[Group]) -> Tensor:
        """Return which groups hold a difference to learn from: (P,) of bool.

        A critic compares a rollout with what it expected, not with the others of its group; with
        one, all groups teach or, where all rewards of the batch are equal, none does.
        """
        rewards, played = self.rewards(groups)
        if self.s.critic is None:
            return returns.teaches(rewards, played)
        total = rewards.sum(-1)[played.any(-1)]
        return torch.full((len(groups),), total.unique().numel() > 1)

    def make(self, groups: Sequence[Group], *, looking: bool) -> Experience:
        """Make a batch of all rollouts that were judged.

        Args:
            groups: of the step.
            looking: compare with the reference policy though nothing depends on it.
        """
        places = [
            (number, column)
            for number, group in enumerate(groups)
            for column, t in enumerate(group.trajectories)
            if t.reward.judged and t.sampled_tokens
        ]
        if not places:
            return Experience(None, [], {})
        rewards, played = self.rewards(groups)
        if self.s.critic is not None:
            made = self._with_critic(groups, places, rewards)
        else:
            made = self._from_groups(groups, places, rewards, played)
        if made.batch is None:
            return made
        return self._compared(made, looking=looking)

    def _batch(self, groups: Sequence[Group], places: Sequence[Place]) -> Batch:
        return Batch.of([groups[g].trajectories[i] for g, i in places], pad=self.pad)

    def _from_groups(
        self, groups: Sequence[Group], places: list[Place], rewards: Tensor, played: Tensor
    ) -> Experience:
        row, column = torch.tensor(places).unbind(1)
        if self._charges_reward:
            everything = self._batch(groups, places)
            costs = everything.sum_by_turn(self._token_costs(everything))  # (B, K)
            if not self.by_turn:
                costs = costs.sum(1, keepdim=True)
            rewards = rewards.clone()
            rewards[row, column, : costs.shape[1]] -= costs
        to_go = returns.to_go(rewards, self.s.gamma)
        grid = returns.group_advantages(self.algorithm.advantages, to_go, played)
        useful = grid.abs().sum((1, 2)) > 0
        kept = [
            (g, i)
            for g, i in places
            if useful[g] and not (self.s.drop_truncated and groups[g].trajectories[i].truncated)
        ]
        if not kept:
            return Experience(None, [], {})
        row, column = torch.tensor(kept).unbind(1)
        batch = self._batch(groups, kept)
        return Experience(replace(batch, advantages=batch.spread(grid[row, column])), kept, {})

    def _with_critic(
        self, groups: Sequence[Group], places: list[Place], rewards: Tensor
    ) -> Experience:
        assert self.s.critic is not None
        if self.s.drop_truncated:
            places = [(g, i) for g, i in places if not groups[g].trajectories[i].truncated]
        if not places:
            return Experience(None, [], {})
        row, column = torch.tensor(places).unbind(1)
        batch = self._batch(groups, places)
        batch = replace(batch, values=self.learner.values(batch))
        costs = self._token_costs(batch) if self._charges_reward else None
        batch = returns.with_critic(
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
        return Experience(batch, places, {"explained_variance": explained})

    @property
    def _charges_reward(self) -> bool:
        return self.s.kl.place == "reward" and self.learner.kl.value > 0

    def _token_costs(self, batch: Batch) -> Tensor:
        """Return what each token's distance from the reference costs: (B, T)."""
        reference = self.learner.reference_logprobs(batch)
        found = divergence(batch.old_logprobs, reference, self.s.kl.charged)
        # a token for which a server gave no logprob costs nothing
        return self.learner.kl.value * found.nan_to_num(0.0) * batch.mask

    def _compared(self, made: Experience, *, looking: bool) -> Experience:
        """Add what other policies say of the tokens: the reference, and the model itself."""
        batch, metrics = made.batch, dict(made.metrics)
        assert batch is not None
        if self.s.kl.coefficient or (looking and self.learner.policy.has_reference):
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
