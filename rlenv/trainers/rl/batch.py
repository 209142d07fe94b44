"""Trajectories as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from rlenv.core.trajectory import Group, Trajectory
from rlenv.trainers.rl.shapes import PerToken, Prompts, TokenIds


@dataclass(frozen=True)
class Batch:
    """Trajectories padded on the right; tensors are (B, T), aligned with the tokens.

    Attributes:
        input_ids: the tokens.
        mask: 1 where the policy sampled the token.
        turns: which of the policy's turns a sampled token belongs to, from 0; 0 elsewhere.
        old_logprobs: of each sampled token, when it was sampled; 0 elsewhere.
        prompts: (B, 2), a number that rows with the same prompt share, and how many tokens the
            prompt has.
        advantages: of each token; 0 where the policy did not sample it.
        importance: what each token's loss is multiplied by, where it was sampled from another
            policy than `old_logprobs` are of.
        reference: logprobs of the reference policy.
        values: of a critic, when the batch was sampled.
        returns: what the critic should have said.
        value_mask: 1 where the critic is asked.
    """

    input_ids: TokenIds
    mask: PerToken
    turns: TokenIds
    old_logprobs: PerToken
    prompts: Prompts
    advantages: PerToken
    importance: PerToken | None = None
    reference: PerToken | None = None
    values: PerToken | None = None
    returns: PerToken | None = None
    value_mask: PerToken | None = None

    @classmethod
    def of(
        cls,
        trajectories: Sequence[Trajectory],
        advantages: Tensor | None = None,
        *,
        pad: int = 0,
    ) -> Batch:
        """Pad trajectories.

        Args:
            trajectories: B of them, each with a sampled token.
            advantages: (B,), one for all tokens of a trajectory, or (B, K), one a turn; 0 if left
                out.
            pad: token to pad with. Padding stands on the right, where no token sees it.
        """
        longest = max(len(t.token_ids) for t in trajectories)

        def padded(rows: list[list[Any]], fill: Any, dtype: torch.dtype) -> Tensor:
            filled = [row + [fill] * (longest - len(row)) for row in rows]
            return torch.tensor(filled, dtype=dtype)

        lengths = [t.loss_mask.index(1) for t in trajectories]
        numbers: dict[tuple[int, ...], int] = {}
        shared = [
            numbers.setdefault(tuple(t.token_ids[:n]), len(numbers))
            for t, n in zip(trajectories, lengths, strict=True)
        ]
        mask = padded([t.loss_mask for t in trajectories], 0, torch.float32)
        made = cls(
            input_ids=padded([t.token_ids for t in trajectories], pad, torch.long),
            mask=mask,
            turns=padded([_turns(t) for t in trajectories], 0, torch.long) * mask.long(),
            old_logprobs=padded([t.logprobs for t in trajectories], 0.0, torch.float32),
            prompts=torch.tensor([shared, lengths]).T,
            advantages=torch.zeros_like(mask),
        )
        return made if advantages is None else replace(made, advantages=made.spread(advantages))

    @classmethod
    def of_groups(cls, groups: Sequence[Group], advantages: Tensor, *, pad: int = 0) -> Batch:
        """Make a batch of the trajectories that teach something.

        Left out are those whose grader failed, those in which the policy said nothing, and groups
        whose advantages are all 0.

        Args:
            groups: P groups of G trajectories.
            advantages: (P, G), one for all sampled tokens of a trajectory.
            pad: token to pad with.

        Raises:
            ValueError: nothing is left; see `rlenv.group_rewards` for what the groups earned.

        Example:
            >>> rewards, judged = rlenv.group_rewards(groups)
            >>> batch = rlenv.Batch.of_groups(groups, group_normalised(rewards, judged))
        """
        kept = [
            (row, column)
            for row, group in enumerate(groups)
            for column, t in enumerate(group.trajectories)
            if t.reward.judged and t.sampled_tokens and bool(advantages[row].any())
        ]
        if not kept:
            raise ValueError("no group holds a difference to learn from")
        row, column = torch.tensor(kept).unbind(1)
        trajectories = [groups[r].trajectories[c] for r, c in kept]
        return cls.of(trajectories, advantages[row, column], pad=pad)

    def __len__(self) -> int:
        return len(self.input_ids)

    def rows(self, index: Tensor) -> Batch:
        """Return some of the rows, without the columns that only the others need."""
        width = int(self.mask[index].any(0).nonzero()[-1]) + 1
        return self._map(lambda t: t[index] if t is self.prompts else t[index][:, :width])

    def to(self, device: Any) -> Batch:
        """Return the batch on a device; `prompts` stays where it is read."""
        return self._map(lambda t: t if t is self.prompts else t.to(device))

    def spread(self, values: Tensor) -> PerToken:
        """Spread values of rows (B,) or of turns (B, K) over the sampled tokens: (B, T).

        A turn beyond the last column takes that column's.
        """
        columns = values if values.ndim == 2 else values[:, None]
        places = self.turns.clamp(max=columns.shape[1] - 1)
        return columns.float().gather(1, places) * self.mask

    def sum_by_turn(self, values: Tensor) -> Tensor:
        """Add up values (B, T) over the tokens of each turn: (B, K)."""
        sums = values.new_zeros(len(self), int(self.turns.max()) + 1)
        return sums.scatter_add(1, self.turns, values * self.mask)

    def turn_edges(self) -> tuple[PerToken, PerToken]:
        """Return masks (B, T) of the first and of the last token of each turn."""
        on = self.mask > 0
        before = torch.zeros_like(on)
        before[:, 1:] = on[:, :-1] & (self.turns[:, :-1] == self.turns[:, 1:])
        after = torch.zeros_like(on)
        after[:, :-1] = on[:, 1:] & (self.turns[:, 1:] == self.turns[:, :-1])
        return (on & ~before).float(), (on & ~after).float()

    def _map(self, change: Any) -> Batch:
        kept = {f.name: getattr(self, f.name) for f in fields(self)}
        changed: dict[str, Any] = {n: change(t) for n, t in kept.items() if t is not None}
        return Batch(**changed)


def _turns(trajectory: Trajectory) -> list[int]:
    """Return the number of the turn that each token belongs to or comes before."""
    turns: list[int] = []
    for number, end in enumerate(trajectory.turn_ends):
        turns += [number] * (end - len(turns))
    return turns + [0] * (len(trajectory.token_ids) - len(turns))
