"""Grading kept samples again, without generating."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rlenv.common.errors import UserError
from rlenv.core.env import TextEnv
from rlenv.core.protocols import announce
from rlenv.core.reward import Reward
from rlenv.core.task import Task
from rlenv.evaluation.folder import EvaluationFolder, read_evaluation
from rlenv.evaluation.plan import env_version, libraries
from rlenv.evaluation.players import replies
from rlenv.evaluation.run import Evaluation, answer_of, conclude
from rlenv.evaluation.samples import Sample
from rlenv.rollouts.rollout import EnvPool, env_seed, group_seed

_AT_ONCE = 256  # replies announced before the first is judged


def rescore(source: Path, out: Path) -> tuple[dict[str, Any], Evaluation]:
    """Grade the samples of a finished evaluation again and keep the result elsewhere.

    Every episode is replayed with the replies that were kept. Where the environment now answers
    otherwise, in an episode of several turns, the policy never replied to what it says; such a
    sample counts as not judged.

    Args:
        source: the evaluation's folder.
        out: a folder for the new result, which names the old one.

    Returns:
        The new result, as written to `result.json`, and the new samples in the order of the old.

    Raises:
        UserError: the environment no longer has all the tasks.
    """
    from rlenv.core import registry

    before, samples = read_evaluation(source)

    def make() -> TextEnv:
        return registry.make(before["ref"], split=before["split"], **before["options"])

    env = make()
    tasks = {task.key: task for task in env.tasks.distinct(before["tasks"])}
    missing = len({s.task_key for s in samples} - tasks.keys())
    if missing:
        raise UserError(
            f"{missing} of the {before['tasks']} tasks of {source} are no longer among the first "
            f"of {before['env']}: its tasks changed, not only its verifier; evaluate the model anew"
        )
    settings = {name: before[name] for name in before if name in _settings_of(source)}
    settings |= {
        "env_version": env_version(env),
        "fingerprint": env.tasks.fingerprint,
        "reward_range": list(env.reward_range),
        "solved_at": env.solved_at,
        "libraries": libraries(),
        "rescored": {"from": str(source), "env_version": before["env_version"]},
    }
    pool = EnvPool(make)
    graded = [
        sample
        for start in range(0, len(samples), _AT_ONCE)
        for sample in _grade(pool, tasks, samples[start : start + _AT_ONCE], before["seed"])
    ]
    with EvaluationFolder(out, settings) as folder:
        result = conclude(env, graded, folder, before["max_grader_errors"])
    return {**settings, **result.row(), "folder": str(out)}, result


def _settings_of(source: Path) -> set[str]:
    import json

    return set(json.loads((source / "settings.json").read_text(encoding="utf-8")))


@dataclass
class _Replay:
    """An episode that is played again with the same replies."""

    env: TextEnv
    task: Task
    sample: Sample
    replies: list[str]

    def begin(self, seed: int) -> None:
        self.env.reset(seed=env_seed(group_seed(seed, self.task)), options={"task": self.task})
        if self.replies:
            announce(self.env, self.replies[0])

    def end(self) -> Reward:
        total: Reward | None = None
        over = False
        for reply in self.replies:
            if over:
                return Reward.failed("the episode now ends before the replies do")
            _, _, terminated, truncated, info = self.env.step(reply)
            over = terminated or truncated
            total = info["reward"] if total is None else total + info["reward"]
            said = info["messages"]
            if said != list(self.sample.messages[: len(said)]):
                return Reward.failed("the environment now answers differently")
        if not over and not self.sample.truncated:
            return Reward.failed("the episode now goes on after the replies end")
        return Reward.failed(self.sample.detail) if total is None else total


def _grade(
    pool: EnvPool, tasks: dict[str, Task], samples: Sequence[Sample], seed: int
) -> Iterator[Sample]:
    replays = [
        _Replay(env, tasks[s.task_key], s, replies(s.messages, s.turns))
        for env, s in zip(pool.take(len(samples)), samples, strict=True)
    ]
    for replay in replays:
        replay.begin(seed)
    for replay in replays:
        reward = replay.end()
        pool.stepped(replay.env)
        yield replace(
            replay.sample,
            answer=answer_of(replay.env, replay.task, replay.replies),
            value=reward.value,
            components=dict(reward.components),
            status=reward.status,
            detail=reward.detail,
            solved=reward.judged and reward.value >= replay.env.solved_at,
        )
