"""What a loop of one's own is made of, beside `Policy` and `Batch`: see examples/grpo.py."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rlenv.common.settings import parse
from rlenv.core.trajectory import Group
from rlenv.trainers.rl import algorithms
from rlenv.trainers.rl.algorithms import Aggregate, LossInputs, token_weights
from rlenv.trainers.rl.batch import Batch
from rlenv.trainers.rl.settings import OnPolicySettings


def group_rewards(groups: Sequence[Group]) -> tuple[Tensor, Tensor]:
    """Return what each episode earned, and which could be judged.

    Args:
        groups: P groups of G trajectories.

    Returns:
        Rewards (P, G), 0 where a grader failed, and a mask (P, G) that is 0 there and 1 elsewhere.

    Example:
        >>> rewards, judged = rlenv.group_rewards(groups)
        >>> mean = (rewards * judged).sum() / judged.sum()
    """
    earned = [[t.reward for t in group.trajectories] for group in groups]
    judged = torch.tensor([[float(reward.judged) for reward in row] for row in earned])
    values = torch.tensor([[reward.value for reward in row] for row in earned])
    return torch.where(judged > 0, values, 0.0), judged


def policy_loss(
    logprobs: Tensor,
    batch: Batch,
    *,
    algorithm: str = "grpo",
    clip_low: float | None = None,
    clip_high: float | None = None,
    aggregate: Aggregate | None = None,
    max_tokens: int = 1,
) -> Tensor:
    """Return an algorithm's loss of a batch, to be minimised.

    Args:
        logprobs: (B, T), of the batch's tokens under the policy that is trained, with gradient; see
            `Policy.logprobs`.
        batch: with advantages.
        algorithm: whose loss: a name of docs/algorithms.md, or `file.py:name`.
        clip_low: the ratio is clipped below 1 - clip_low; what the algorithm sets if left out.
        clip_high: and above 1 + clip_high.
        aggregate: how the losses of tokens add up, see `algorithms.token_weights`; what the
            algorithm sets if left out.
        max_tokens: the longest reply that could have been sampled, by which `aggregate: constant`
            divides.

    Returns:
        A scalar.

    Raises:
        UserError: there is no such algorithm.

    Example:
        >>> loss = policy_loss(policy.logprobs(batch), batch, algorithm="dapo")
        >>> policy.step(loss)
    """
    # what the algorithm leaves out is what a stage has
    values = {"steps": 1, "algorithm": algorithm}
    stage = parse(OnPolicySettings, values, "policy_loss", "")
    inputs = LossInputs(
        logprobs,
        batch.old_logprobs,
        batch.advantages,
        batch.mask,
        stage.clip_low if clip_low is None else clip_low,
        stage.clip_high if clip_high is None else clip_high,
    )
    weights = token_weights(batch.mask, aggregate or stage.aggregate, max_tokens)
    return (algorithms.find(algorithm).loss(inputs) * weights).sum()
