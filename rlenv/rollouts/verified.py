"""Replies that an environment found right, to learn from."""

from __future__ import annotations

from collections.abc import Sequence

from rlenv.core.trajectory import Group, Trajectory


def verified(groups: Sequence[Group], *, solved_at: float, keep: int) -> list[Trajectory]:
    """Return the episodes that solved their task, the same tokens once.

    Args:
        groups: one or several a task.
        solved_at: the reward from which on a task is solved.
        keep: the most episodes of one task, so that easy tasks don't crowd out hard ones (Singh et
            al. 2024, section 3, takes 10).

    Returns:
        In order. Never one that was cut off: its policy would not learn to stop.
    """
    kept: list[Trajectory] = []
    said: dict[str, set[tuple[int, ...]]] = {}  # key of a task -> token ids
    for group in groups:
        seen = said.setdefault(group.task.key, set())
        for t in group.trajectories:
            right = t.reward.judged and t.reward.value >= solved_at and not t.truncated
            ids = tuple(t.token_ids)
            if right and len(seen) < keep and ids not in seen:
                seen.add(ids)
                kept.append(t)
    return kept
