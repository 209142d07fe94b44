"""What is said of a step's rollouts, under TRL's names where it has one."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from torch import Tensor

from rlenv.core.trajectory import Group, Trajectory


def rollout_metrics(groups: Sequence[Group], teaches: Tensor) -> dict[str, float]:
    """Describe the rollouts of a step.

    Args:
        groups: those that were sampled, whether trained on or not.
        teaches: (P,) of bool, False where all rewards of a group are equal.
    """
    played = [t for g in groups for t in g.trajectories]
    judged = [t for t in played if t.reward.judged]
    lengths = [float(t.sampled_tokens) for t in played]
    ended = [float(t.sampled_tokens) for t in played if not t.truncated]
    values = [t.reward.value for t in judged]
    metrics = {
        "reward": mean(values),
        "reward_std": statistics.stdev(values) if len(values) > 1 else 0.0,
        **component_metrics(judged),
        "frac_reward_zero_std": 1 - float(teaches.float().mean()),
        **_spread("completions", lengths, "length"),
        **(_spread("completions", ended, "terminated_length") if ended else {}),
        "completions/clipped_ratio": 1 - len(ended) / len(played),
        "completions/repetition": mean([repetition(g.trajectories[0]) for g in groups]),
        "unparseable": sum(t.reward.status == "unparseable" for t in played) / len(played),
        "grader_errors": 1 - len(judged) / len(played),
    }
    turns = [float(len(t.turn_ends)) for t in played]
    if max(turns) > 1:
        metrics["turns"] = mean(turns)
    return metrics


def _spread(prefix: str, values: Sequence[float], name: str) -> dict[str, float]:
    return {
        f"{prefix}/mean_{name}": mean(values),
        f"{prefix}/min_{name}": min(values),
        f"{prefix}/max_{name}": max(values),
    }


def repetition(trajectory: Trajectory, run: int = 4) -> float:
    """Return the share of a trajectory's runs of tokens that stood in the same turn before.

    With runs of four tokens this is seq-rep-4 (Welleck et al. 2019), of each turn.
    """
    runs = distinct = 0
    mask = trajectory.loss_mask
    turns = (
        [token for _, token in part]
        for sampled, part in groupby(zip(mask, trajectory.token_ids, strict=True), lambda p: p[0])
        if sampled
    )
    for ids in turns:
        found = list(zip(*(ids[n:] for n in range(run)), strict=False))
        runs += len(found)
        distinct += len(set(found))
    return 1 - distinct / runs if runs else 0.0


def mean(values: Sequence[float]) -> float:
    """Return the mean; 0 of nothing."""
    return sum(values) / len(values) if values else 0.0


def component_metrics(judged: Sequence[Trajectory]) -> dict[str, float]:
    """Return mean and standard deviation of each reward component, over those that have it."""
    found: dict[str, list[float]] = {}
    for trajectory in judged:
        for name, value in trajectory.reward.components.items():
            found.setdefault(name, []).append(value)
    metrics = {}
    for name, values in found.items():
        metrics[f"rewards/{name}/mean"] = mean(values)
        metrics[f"rewards/{name}/std"] = statistics.stdev(values) if len(values) > 1 else 0.0
    return metrics


def describe(trajectory: Trajectory, advantages: Sequence[float] | None) -> dict[str, Any]:
    """Return an episode as plain values for `episodes.jsonl`.

    Args:
        trajectory: the episode.
        advantages: the mean advantage of each turn's tokens; None if it was not trained on.
    """
    reward = trajectory.reward
    return {
        "task_key": trajectory.task.key,
        "prompt": trajectory.task.question,
        "reply": trajectory.reply,
        "messages": [dict(m) for m in trajectory.messages],
        "reward": reward.value if reward.judged else None,
        "components": dict(reward.components),
        "turn_rewards": list(trajectory.turn_rewards),
        "advantages": None if advantages is None else list(advantages),
        "status": reward.status,
        "detail": reward.detail,
        "truncated": trajectory.truncated,
        "tokens": trajectory.sampled_tokens,
    }


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> float:
    """Return the share of the returns' variance that the values account for; at most 1.

    Args:
        values: (B, T).
        returns: (B, T), what they should have been.
        mask: (B, T), where they were asked.
    """
    on = mask > 0
    total = returns[on].var(unbiased=False)
    left = (returns[on] - values[on]).var(unbiased=False)
    return float(1 - left / total) if total > 0 else 0.0
