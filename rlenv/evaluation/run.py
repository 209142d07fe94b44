"""Evaluating one policy on one environment."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rlenv.common import failures
from rlenv.common.errors import RunFailed
from rlenv.core.env import TextEnv
from rlenv.core.protocols import answer_in
from rlenv.core.task import Task
from rlenv.engines.base import Sampling
from rlenv.evaluation.folder import EvaluationFolder
from rlenv.evaluation.players import Played, Player
from rlenv.evaluation.samples import Sample
from rlenv.evaluation.summary import MOST_GRADER_ERRORS, Summary, summarize
from rlenv.rollouts.rollout import EnvPool

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """The result of evaluating one policy on one environment.

    Attributes:
        summary: the figures.
        fingerprint: the hash of the task set.
        kept: every sample, by task, a greedy one first.
        stopped: why it ended before all tasks were done; empty if it did not.
    """

    summary: Summary
    fingerprint: str
    kept: tuple[Sample, ...]
    stopped: str = ""

    @property
    def sampled(self) -> list[Sample]:
        """The samples without the greedy ones."""
        return [sample for sample in self.kept if not sample.greedy]

    @property
    def greedy(self) -> list[Sample]:
        """The replies at temperature 0 that were made beside the samples."""
        return [sample for sample in self.kept if sample.greedy]

    def row(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        return {
            **self.summary.row(),
            "fingerprint": self.fingerprint,
            "complete": not self.stopped,
            "stopped": self.stopped,
        }


@dataclass(frozen=True)
class _Unit:
    """Tasks that are played together, greedily or not."""

    greedy: bool
    tasks: Sequence[tuple[int, Task]]


def evaluate(
    pool: EnvPool,
    player: Player,
    *,
    tasks: int,
    samples: int,
    sampling: Sampling,
    seed: int,
    greedy: bool = True,
    batch: int | None = None,
    folder: EvaluationFolder | None = None,
    most_grader_errors: float = MOST_GRADER_ERRORS,
    stop: Callable[[list[Sample]], str] = lambda kept: "",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Evaluate a policy on the first `tasks` different tasks of the pool's task set.

    A sample depends on the seed, its task and its number alone, not on the batch it was made in.

    Args:
        pool: environments of the split to evaluate on.
        player: the policy.
        tasks: how many tasks; fewer are used where the split holds fewer.
        samples: samples a task at `sampling`.
        sampling: temperature and limits.
        seed: of the environments and of the sampling.
        greedy: make one reply a task at temperature 0 as well.
        batch: episodes played at once; what suits the player if left out.
        folder: where every batch is kept, and from where an interrupted evaluation goes on.
        most_grader_errors: with a larger share of samples not judged, the result is invalid.
        stop: asked between batches, with the samples so far; a reason ends the evaluation there.
        progress: called with episodes done and in all.

    Raises:
        RunFailed: the grader could judge no sample at all, or no task was finished.
    """
    env = pool.take(1)[0]
    chosen = list(enumerate(env.tasks.distinct(tasks)))
    kept = folder.samples() if folder is not None else []
    total = len(chosen) * (samples + greedy)
    stopped = ""
    done = {(s.greedy, s.task_key) for s in kept}
    for unit in _units(chosen, samples, greedy, batch or player.batch_size):
        left = [(n, task) for n, task in unit.tasks if (unit.greedy, task.key) not in done]
        if not left:
            continue
        progress(len(kept), total)
        stopped = stop(kept)
        if stopped:
            break
        how = Sampling(0.0, sampling.max_tokens, stop=sampling.stop) if unit.greedy else sampling
        began = time.perf_counter()
        played = player.play(pool, [t for _, t in left], 1 if unit.greedy else samples, how, seed)
        seconds = (time.perf_counter() - began) / sum(map(len, played))
        made = [
            _sample(env, index, task, number, unit.greedy, episode, seconds)
            for (index, task), episodes in zip(left, played, strict=True)
            for number, episode in enumerate(episodes)
        ]
        if folder is not None:
            folder.append(made)
        kept += made
    progress(len(kept), total)
    return conclude(env, kept, folder, most_grader_errors, stopped)


def _units(
    chosen: Sequence[tuple[int, Task]], samples: int, greedy: bool, batch: int
) -> Iterator[_Unit]:
    """Yield what to play, in an order that finishes tasks early on."""
    for start in range(0, len(chosen), batch):
        block = chosen[start : start + batch]
        if greedy:
            yield _Unit(True, block)
        step = max(1, batch // samples)
        for first in range(0, len(block), step):
            yield _Unit(False, block[first : first + step])


def conclude(
    env: TextEnv,
    kept: Iterable[Sample],
    folder: EvaluationFolder | None,
    most_grader_errors: float,
    stopped: str = "",
) -> Evaluation:
    """Put the samples of an evaluation together, and keep the result.

    Args:
        env: the environment.
        kept: the samples, in any order.
        folder: where to.
        most_grader_errors: with a larger share of samples not judged, the result is invalid.
        stopped: why not all tasks were done, if so.

    Raises:
        RunFailed: no task was finished, or the grader could judge no sample at all.
    """
    kept = sorted(kept, key=lambda s: (s.index, not s.greedy, s.number))
    sampled = {s.task_key for s in kept if not s.greedy}
    counted = [s for s in kept if s.task_key in sampled]  # a task with a greedy reply alone is not
    if not counted:
        raise RunFailed(f"{stopped or 'the evaluation ended'} before one task was finished")
    summary = summarize(counted, env.reward_range, most_grader_errors)
    result = Evaluation(summary, env.tasks.fingerprint, tuple(counted), stopped)
    if folder is not None:
        folder.finish(kept, result.row())
    if "pass@1" not in summary.estimates:
        raise RunFailed(summary.invalid)
    return result


def _sample(
    env: TextEnv,
    index: int,
    task: Task,
    number: int,
    greedy: bool,
    played: Played,
    seconds: float,
) -> Sample:
    reward = played.reward
    said = played.replies
    opening = played.messages[: _first_reply(played)]
    return Sample(
        task_key=task.key,
        index=index,
        number=number,
        greedy=greedy,
        prompt=str(opening[-1]["content"]) if opening else task.question,
        messages=tuple(played.messages),
        reply=said[-1] if said else "",
        answer=answer_of(env, task, said),
        value=reward.value,
        components=dict(reward.components),
        status=reward.status,
        detail=reward.detail,
        solved=reward.judged and reward.value >= env.solved_at,
        truncated=played.truncated,
        turns=played.turns,
        prompt_tokens=played.prompt_tokens,
        tokens=played.tokens,
        seconds=seconds,
        metadata=dict(task.metadata),
    )


def _first_reply(played: Played) -> int:
    """Return where in the messages the policy's first reply stands."""
    by_assistant = [n for n, m in enumerate(played.messages) if m["role"] == "assistant"]
    ours = by_assistant[len(by_assistant) - played.turns :]
    return ours[0] if ours else len(played.messages)


def answer_of(env: TextEnv, task: Task, replies: Sequence[str]) -> str | None:
    """Return what an episode of one reply answers; None for any other, which can't vote."""
    if len(replies) != 1:
        return None
    try:
        return answer_in(env, task, replies[0])
    except Exception as error:  # noqa: BLE001 an author's slip costs a vote, not the evaluation
        failures.tell(log, f"answer_in of {type(env).__name__}", error)
        return None
