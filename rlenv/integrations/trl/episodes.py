"""Episodes in the form that TRL takes: the columns of a rollout, and rewards."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from rlenv.common import failures
from rlenv.common.errors import UserError
from rlenv.core.env import TextEnv
from rlenv.core.protocols import announce
from rlenv.core.reward import Reward, component_means
from rlenv.core.task import Task
from rlenv.core.trajectory import Trajectory

log = logging.getLogger(__name__)


def columns(episodes: Sequence[Trajectory], stop_id: int) -> dict[str, list[Any]]:
    """Return episodes in the form of TRL's rollouts; see `TRLAdapter.rollout`.

    TRL has no rows without a completion and none that leave the batch, so an episode in which the
    policy said nothing holds one masked token, and of one that could not be judged all tokens are
    masked: it counts in no mean over tokens.

    Args:
        episodes: what was played.
        stop_id: the token that stands in where the policy said nothing.
    """
    rows = []
    for episode in episodes:
        if 1 not in episode.loss_mask:
            rows.append(([stop_id], [stop_id], [0.0], [0], episode))
            continue
        ids, start = episode.token_ids, episode.loss_mask.index(1)
        mask = episode.loss_mask[start:]
        if not episode.reward.judged:
            mask = [0] * len(mask)
        rows.append((ids[:start], ids[start:], episode.logprobs[start:], mask, episode))
    names = ("prompt_ids", "completion_ids", "logprobs", "env_mask", "episode")
    return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def check_alike(episodes: Sequence[Trajectory]) -> None:
    """Raise `RuntimeError` if two episodes of one task began differently."""
    openings: dict[str, list[int]] = {}
    for episode in episodes:
        if 1 in episode.loss_mask:
            opening = episode.token_ids[: episode.loss_mask.index(1)]
            if openings.setdefault(episode.task.key, opening) != opening:
                raise RuntimeError(
                    f"the rollouts of task {episode.task.key} began differently; an environment "
                    "must draw its randomness from the seed it is reset with"
                )


def judge(envs: Sequence[TextEnv], tasks: Sequence[Task], replies: Sequence[str]) -> list[Reward]:
    """Return what replies earn in environments of a single turn, each in one of its own.

    All replies are announced before the first is judged, so that what takes time runs side by side.
    """
    failed: dict[int, Reward] = {}

    def attempt(n: int, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except (Exception, SystemExit) as error:  # noqa: BLE001 one reply is not judged, others are
            failed[n] = Reward.failed(failures.tell(log, type(envs[n]).__name__, error))

    def begin(env: TextEnv, task: Task, reply: str) -> None:
        env.reset(seed=int(task.key[:7], 16), options={"task": task})
        with suppress(Exception, SystemExit):  # the step reports it
            announce(env, reply)

    for n, row in enumerate(zip(envs, tasks, replies, strict=True)):
        attempt(n, partial(begin, *row))
    rewards = []
    for n, (env, reply) in enumerate(zip(envs, replies, strict=True)):
        step = None if n in failed else attempt(n, partial(env.step, reply))
        if step is None:
            rewards.append(failed[n])
            continue
        _, _, terminated, truncated, info = step
        if not (terminated or truncated):
            raise UserError(
                f"{type(env).__name__} goes on after one reply; give GRPOTrainer the adapter's "
                "rollout_func too"
            )
        rewards.append(info["reward"])
    return rewards


def log_means(rewards: Sequence[Reward], log_metric: Callable[[str, float], None]) -> None:
    """Pass the means of the components on, and how many replies could not be read or judged."""
    for name, mean in component_means(rewards).items():
        log_metric(f"rewards/{name}", mean)
    log_metric("unparseable", sum(r.status == "unparseable" for r in rewards) / len(rewards))
    log_metric("grader_errors", sum(not r.judged for r in rewards) / len(rewards))
