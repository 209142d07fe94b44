"""Pairs chosen by a judge, each by a principle of a constitution (RLAIF; Bai et al. 2022, 4.1)."""

from __future__ import annotations

import random
from collections.abc import Sequence

from rlenv.core.task import Message
from rlenv.core.trajectory import Group
from rlenv.data.preferences import TIE, Pair, Preferences
from rlenv.judges.judge import Choice, Judge
from rlenv.trainers.preference.constitution.principles import Constitution
from rlenv.trainers.preference.sampled import CUT_OFF, TURNS, pair_of

NO_VERDICT = "without a verdict of the judge"


def by_judge(
    groups: Sequence[Group], judge: Judge, constitution: Constitution, *, seed: int
) -> Preferences:
    """Let a judge choose between the first two replies of each group.

    Each pair is judged in both orders, by a principle of its own; where the judge changes its mind
    with the order, the pair is a tie and left out.

    Args:
        groups: rollouts of episodes of a single turn, two or more each.
        judge: who chooses.
        constitution: where the principles are drawn from.
        seed: of what is drawn.
    """
    found = Preferences()
    rng = random.Random(f"principles/{seed}")
    usable: list[tuple[int, Group]] = []
    for number, group in enumerate(groups, 1):
        two = group.trajectories[:2]
        if any(len(t.turn_ends) != 1 for t in two):
            found.leave_out(TURNS, number)
        elif any(t.truncated for t in two):
            found.leave_out(CUT_OFF, number)
        else:
            usable.append((number, group))
    items = [_item(group) for _, group in usable]
    principles = [constitution.draw(rng) for _ in items]
    choices = judge.choose(items, [principle.text for principle in principles])
    for (number, group), choice in zip(usable, choices, strict=True):
        pair = _chosen(group, choice)
        if pair is None:
            found.leave_out(NO_VERDICT if choice is None else TIE, number)
        else:
            found.add(pair, number)
    return found


def _item(group: Group) -> tuple[list[Message], str, str]:
    one, other = group.trajectories[:2]
    first = next(n for n, m in enumerate(one.messages) if m["role"] == "assistant")
    return one.messages[:first], one.reply, other.reply


def _chosen(group: Group, choice: Choice | None) -> Pair | None:
    one, other = group.trajectories[:2]
    if choice == "first":
        return pair_of(one, other, None)
    return pair_of(other, one, None) if choice == "second" else None
