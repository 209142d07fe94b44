"""How good a policy is on tasks it never saw, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from rlenv.chat import ChatFormat
from rlenv.engines.base import Engine, Sampling
from rlenv.errors import RunFailed
from rlenv.rollout import EnvPool, play
from rlenv.task import Task
from rlenv.trajectory import Group, Trajectory

_Z95 = 1.959963984540054  # the 97.5% point of the normal distribution


@dataclass(frozen=True)
class Estimate:
    """A share with its 95% confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def pass_at_1(outcomes: Sequence[Sequence[bool]]) -> Estimate:
    """Estimate the chance that one sample of one task is right.

    Samples of a task belong together, so the standard error is that of the tasks' means
    (clustered standard errors; Miller 2024, "Adding Error Bars to Evals", section 2.2). The
    interval is Wilson's (1927) at the number of independent samples with that standard error,
    so that it stays inside [0, 1] and does not collapse at 0 or 1.

    Args:
        outcomes: for each task, whether each judged sample was right; tasks without a judged
            sample are left out.

    Raises:
        ValueError: nothing was judged.
    """
    rates = [sum(task) / len(task) for task in outcomes if task]
    if not rates:
        raise ValueError("no sample was judged, so there is nothing to estimate")
    n = len(rates)
    mean = sum(rates) / n
    effective = float(n)
    if n > 1:
        variance = sum((rate - mean) ** 2 for rate in rates) / (n - 1) / n
        if variance > 0:
            samples = sum(len(task) for task in outcomes)
            # never fewer than the tasks nor more than the samples
            effective = min(max(mean * (1 - mean) / variance, n), samples)
    z2 = _Z95**2
    centre = (mean + z2 / (2 * effective)) / (1 + z2 / effective)
    spread = mean * (1 - mean) / effective + z2 / (4 * effective**2)
    half = _Z95 / (1 + z2 / effective) * math.sqrt(spread)
    return Estimate(mean, max(0.0, min(mean, centre - half)), min(1.0, max(mean, centre + half)))


def mean_reward(groups: Sequence[Group]) -> float:
    """Return the mean reward of the judged trajectories; NaN where none was judged."""
    judged = [t.reward.value for g in groups for t in g.trajectories if t.reward.judged]
    return sum(judged) / len(judged) if judged else math.nan


@dataclass(frozen=True)
class Sample:
    """One evaluated reply."""

    task_key: str
    prompt: str
    reply: str
    value: float
    status: str
    solved: bool
    truncated: bool
    tokens: int


@dataclass(frozen=True)
class Evaluation:
    """The result of evaluating one policy on one environment.

    Attributes:
        pass_at_1: at the sampling settings given.
        greedy: share of tasks solved at temperature 0.
        mean_reward: over judged samples.
        truncated: share of samples cut off by a limit.
        unparseable: share of samples without an answer that could be read.
        grader_errors: share of samples that the grader could not judge; they count neither as
            right nor as wrong.
        tasks: how many different tasks.
        samples: samples a task.
        tokens: sampled tokens in all.
        fingerprint: of the task set.
        kept: every sample, in order; and the greedy ones.
    """

    pass_at_1: Estimate
    greedy: float
    mean_reward: float
    truncated: float
    unparseable: float
    grader_errors: float
    tasks: int
    samples: int
    tokens: int
    fingerprint: str
    kept: tuple[Sample, ...]
    kept_greedy: tuple[Sample, ...]

    def row(self) -> dict[str, float | int | str]:
        """Return the figures for `results.json`, shares as fractions."""
        plain = asdict(self)
        estimate = plain.pop("pass_at_1")
        del plain["kept"], plain["kept_greedy"]
        return {
            "pass_at_1": estimate["value"],
            "ci_low": estimate["low"],
            "ci_high": estimate["high"],
            **plain,
        }


def evaluate(
    pool: EnvPool,
    engine: Engine,
    chat: ChatFormat,
    *,
    tasks: int,
    samples: int,
    sampling: Sampling,
    seed: int,
    max_length: int,
    batch: int = 512,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Evaluate a policy on the first `tasks` different tasks of the pool's task set.

    Args:
        pool: environments of the split to evaluate on.
        engine: the policy.
        chat: how conversations become tokens.
        tasks: how many tasks; fewer are used where the split holds fewer.
        samples: samples a task at `sampling`, beside one greedy one.
        sampling: temperature and limits.
        seed: of the sampling.
        max_length: of an episode, in tokens.
        batch: episodes played at once.
        progress: called with episodes done and in all.

    Raises:
        RunFailed: the grader could judge no sample at all.
    """
    env = pool.take(1)[0]
    chosen = env.tasks.distinct(tasks)
    total = len(chosen) * (samples + 1)
    done = 0

    def run(count: int, how: Sampling) -> list[Group]:
        nonlocal done
        groups: list[Group] = []
        per_call = max(1, batch // count)
        for start in range(0, len(chosen), per_call):
            part: list[Task] = chosen[start : start + per_call]
            groups += play(
                pool,
                engine,
                chat,
                part,
                samples=count,
                sampling=how,
                seed=seed,
                max_length=max_length,
            )
            done += len(part) * count
            progress(done, total)
        return groups

    greedy = run(1, Sampling(temperature=0.0, max_tokens=sampling.max_tokens))
    groups = run(samples, sampling)
    kept = [_sample(t, env.solved_at) for group in groups for t in group.trajectories]
    kept_greedy = [_sample(t, env.solved_at) for group in greedy for t in group.trajectories]
    judged = [s for s in kept if s.status != "grader_error"]
    judged_greedy = [s for s in kept_greedy if s.status != "grader_error"]
    if not judged:
        reasons = sorted({t.reward.detail for g in groups for t in g.trajectories})
        raise RunFailed(f"the grader failed on every sample ({'; '.join(reasons[:3])})")
    outcomes = [
        [t.reward.value >= env.solved_at for t in group.trajectories if t.reward.judged]
        for group in groups
    ]
    return Evaluation(
        pass_at_1=pass_at_1(outcomes),
        greedy=sum(s.solved for s in judged_greedy) / max(1, len(judged_greedy)),
        mean_reward=sum(s.value for s in judged) / len(judged),
        truncated=sum(s.truncated for s in kept) / len(kept),
        unparseable=sum(s.status == "unparseable" for s in kept) / len(kept),
        grader_errors=1 - len(judged) / len(kept),
        tasks=len(chosen),
        samples=samples,
        tokens=sum(s.tokens for s in kept) + sum(s.tokens for s in kept_greedy),
        fingerprint=env.tasks.fingerprint,
        kept=tuple(kept),
        kept_greedy=tuple(kept_greedy),
    )


def _sample(trajectory: Trajectory, solved_at: float) -> Sample:
    reward = trajectory.reward
    return Sample(
        task_key=trajectory.task.key,
        prompt=trajectory.task.question,
        reply=trajectory.reply,
        value=reward.value,
        status=reward.status,
        solved=reward.judged and reward.value >= solved_at,
        truncated=trajectory.truncated,
        tokens=trajectory.sampled_tokens,
    )
