"""Pairs made by sampling: the best reply of a group against the worst, strong against weak."""

from __future__ import annotations

from collections.abc import Sequence

from rlenv.core.trajectory import Group, Trajectory
from rlenv.data.preferences import EMPTY, TIE, Pair, Preferences

NOT_JUDGED = "without a verdict"
TURNS = "of several turns"
WEAK_WON = "in which the weak model did better"
CUT_OFF = "with a reply that was cut off"


def best_and_worst(groups: Sequence[Group]) -> Preferences:
    """Pair the best whole reply of each group with its worst reply, by their rewards.

    A reply that was cut off is never the better one: a policy would learn not to end. The pair's
    margin is the difference of the rewards, and its tokens are those sampled. Among equals the
    first sample counts.

    Args:
        groups: rollouts of episodes of a single turn.
    """
    found = Preferences()
    for number, group in enumerate(groups, 1):
        judged = [t for t in group.trajectories if t.reward.judged]
        whole = [t for t in judged if not t.truncated]
        if len(judged) < 2:
            found.leave_out(NOT_JUDGED, number)
        elif not whole:
            found.leave_out(CUT_OFF, number)
        else:
            best = max(whole, key=lambda t: t.reward.value)
            worst = min(judged, key=lambda t: t.reward.value)
            if best.reward.value <= worst.reward.value:
                found.leave_out(TIE, number)
            else:
                _add(found, number, best, worst, best.reward.value - worst.reward.value)
    return found


def strong_and_weak(strong: Sequence[Group], weak: Sequence[Group]) -> Preferences:
    """Pair a strong model's reply with a weak one's, unless the environment says otherwise.

    Args:
        strong: groups of one rollout each.
        weak: of the same tasks.
    """
    found = Preferences()
    for number, (ours, theirs) in enumerate(zip(strong, weak, strict=True), 1):
        good, bad = ours.trajectories[0], theirs.trajectories[0]
        if good.reward.judged and bad.reward.judged and good.reward.value < bad.reward.value:
            found.leave_out(WEAK_WON, number)
        else:
            _add(found, number, good, bad, None)
    return found


def _add(
    found: Preferences, row: int, good: Trajectory, bad: Trajectory, margin: float | None
) -> None:
    if any(len(t.turn_ends) > 1 for t in (good, bad)):
        found.leave_out(TURNS, row)
        return
    if any(len(t.turn_ends) < 1 for t in (good, bad)):
        found.leave_out(EMPTY, row)
        return
    if good.truncated:
        found.leave_out(CUT_OFF, row)
        return
    found.add(pair_of(good, bad, margin), row)


def pair_of(good: Trajectory, bad: Trajectory, margin: float | None) -> Pair:
    """Return two episodes of one turn as a pair, with the tokens that were sampled."""
    first = next(n for n, m in enumerate(good.messages) if m["role"] == "assistant")
    (prompt, chosen), (other, rejected) = _tokens(good), _tokens(bad)
    return Pair(
        prompt=tuple(good.messages[:first]),
        chosen=good.reply,
        rejected=bad.reply,
        margin=margin,
        # a model with another tokenizer has read other tokens: only its text is of use
        ids=(prompt, chosen, rejected) if prompt == other else None,
        played=good.task,
    )


def _tokens(t: Trajectory) -> tuple[list[int], list[int]]:
    begin = t.loss_mask.index(1)
    return t.token_ids[:begin], t.token_ids[begin : t.turn_ends[0]]
