"""Grading kept samples again, without generating: `rlenv rescore FOLDER`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rlenv.common.display import Display
from rlenv.common.errors import UserError, main_guard
from rlenv.core.env import TextEnv
from rlenv.core.reward import Reward
from rlenv.core.task import Task
from rlenv.evaluation.folder import EvaluationFolder, read_evaluation
from rlenv.evaluation.plan import env_version, libraries
from rlenv.evaluation.players import replies
from rlenv.evaluation.run import Evaluation, answer_of, conclude
from rlenv.evaluation.samples import Sample
from rlenv.rollouts.rollout import EnvPool, env_seed, group_seed

_AT_ONCE = 256  # replies announced before the first is judged


def main(argv: Sequence[str] | None = None) -> int:
    """Run `rlenv rescore FOLDER`; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="rlenv rescore",
        description="Grade the samples of an evaluation again, with the environment as it is now. "
        "The old result stays as it is.",
    )
    parser.add_argument("folder", help="an evaluation's folder")
    parser.add_argument("--output", help="where to keep the new one (default: FOLDER-rescored)")
    parser.add_argument("--show", type=int, default=10, help="changed verdicts shown (default: 10)")
    arguments = parser.parse_args(argv)
    return main_guard(lambda: _rescore(arguments))


def _rescore(arguments: argparse.Namespace) -> None:
    from rlenv.evaluation.command import show_result

    source = Path(arguments.folder)
    out = Path(arguments.output or f"{source.resolve()}-rescored")
    before, old = read_evaluation(source)
    result, evaluation = rescore(source, out)
    display = Display()
    show_result(result, display)
    changed = [
        (a, b) for a, b in zip(old, evaluation.kept, strict=True) if _verdict(a) != _verdict(b)
    ]
    was = before["pass_at_1"]
    display.say(
        f"\n{len(changed)} of {len(old)} verdicts changed; pass@1 was "
        f"{'unknown' if was is None else format(was, '.3f')}"
    )
    rows = [
        [a.prompt[-40:], a.reply[-40:], _shown(a), _shown(b), b.detail[:60]]
        for a, b in changed[: arguments.show]
    ]
    if rows:
        display.table(["prompt", "reply", "before", "now", ""], rows)


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
            self.env.announce(self.replies[0])

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
        yield replace(
            replay.sample,
            answer=answer_of(replay.env, replay.task, replay.replies),
            value=reward.value,
            components=dict(reward.components),
            status=reward.status,
            detail=reward.detail,
            solved=reward.judged and reward.value >= replay.env.solved_at,
        )


def _verdict(sample: Sample) -> tuple[Any, ...]:
    return (sample.status, sample.value if sample.judged else None, sample.components)


def _shown(sample: Sample) -> str:
    return f"{sample.status} {sample.value:.2f}" if sample.judged else "not judged"
