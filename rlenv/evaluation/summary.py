"""What the samples of an evaluation say: estimates, rates and counts."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from rlenv.evaluation import statistics
from rlenv.evaluation.samples import Sample
from rlenv.evaluation.statistics import Estimate

MOST_GRADER_ERRORS = 0.02


@dataclass(frozen=True)
class Summary:
    """The figures of one evaluation.

    Attributes:
        tasks: different tasks.
        samples: samples a task, beside a greedy one.
        estimates: name to estimate: `pass@k`, `pass^k`, `majority@n`, `greedy`, `mean reward`, and
            `component/NAME`. Where nothing could be judged, or nobody answers, they are missing.
        truncated: share of samples cut off by a limit.
        unparseable: share of samples without an answer that could be read.
        timeout: share of samples whose judging ran into its limit.
        grader_errors: share of samples that the grader could not judge; they count neither as
            right nor as wrong.
        prompt_tokens: tokens read in all, greedy replies included.
        tokens: tokens sampled in all, greedy replies included.
        seconds: for playing, in all.
        invalid: why the figures are not to be trusted; empty if they are.
    """

    tasks: int
    samples: int
    estimates: dict[str, Estimate]
    truncated: float
    unparseable: float
    timeout: float
    grader_errors: float
    prompt_tokens: int
    tokens: int
    seconds: float
    invalid: str = ""

    @property
    def pass_at_1(self) -> Estimate:
        """The chance that one sample of one task is right."""
        return self.estimates.get("pass@1", Estimate(math.nan, math.nan, math.nan))

    def row(self) -> dict[str, Any]:
        """Return the figures as plain values, shares as fractions, null where there is none."""
        plain = asdict(self)
        del plain["estimates"], plain["samples"], plain["tasks"]
        one = self.pass_at_1

        def value(name: str) -> float | None:
            return self.estimates[name].value if name in self.estimates else None

        return {
            "pass_at_1": finite(one.value),
            "ci_low": finite(one.low),
            "ci_high": finite(one.high),
            "greedy": value("greedy"),
            "mean_reward": value("mean reward"),
            "tasks": self.tasks,
            "samples": self.samples,
            **plain,
            "estimates": {
                name: {key: finite(number) for key, number in asdict(estimate).items()}
                for name, estimate in self.estimates.items()
            },
        }


def finite(number: float) -> float | None:
    """Return a number, or None where JSON has no word for it."""
    return number if math.isfinite(number) else None


def by_task(samples: Iterable[Sample]) -> dict[str, list[Sample]]:
    """Return the samples of each task, in order."""
    found: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        found[sample.task_key].append(sample)
    return dict(found)


def summarize(
    kept: Sequence[Sample],
    reward_range: tuple[float, float] = (0.0, 1.0),
    most_grader_errors: float = MOST_GRADER_ERRORS,
) -> Summary:
    """Work out the figures of an evaluation.

    Args:
        kept: all samples, greedy ones included.
        reward_range: the lowest and the highest reward of an episode.
        most_grader_errors: with a larger share of samples not judged, the result is invalid.

    Raises:
        ValueError: there is no sample.
    """
    sampled = by_task(s for s in kept if not s.greedy)
    greedy = by_task(s for s in kept if s.greedy)
    all_sampled = [s for task in sampled.values() for s in task]
    if not all_sampled:
        raise ValueError("there is no sample to summarize")
    most = max(map(len, sampled.values()))
    estimates = _pass_estimates([[s.solved for s in t if s.judged] for t in sampled.values()], most)
    judged = [[s for s in task if s.judged] for task in sampled.values()]
    judged = [task for task in judged if task]
    if judged and most > 1 and any(s.answer is not None for task in judged for s in task):
        winners = [statistics.plurality([(s.answer, s.solved) for s in t])[0] for t in judged]
        estimates[f"majority@{most}"] = statistics.share(winners, len(winners))
    first = [float(s.solved) for task in greedy.values() for s in task if s.judged]
    if first:
        estimates["greedy"] = statistics.share(first)
    if judged:
        estimates |= _reward_estimates(judged, reward_range)

    def rate(has: Iterable[bool]) -> float:
        return sum(has) / len(all_sampled)

    grader_errors = rate(not s.judged for s in all_sampled)
    return Summary(
        tasks=len(sampled),
        samples=most,
        estimates=estimates,
        truncated=rate(s.truncated for s in all_sampled),
        unparseable=rate(s.status == "unparseable" for s in all_sampled),
        timeout=rate(s.status == "timeout" for s in all_sampled),
        grader_errors=grader_errors,
        prompt_tokens=sum(s.prompt_tokens for s in kept),
        tokens=sum(s.tokens for s in kept),
        seconds=sum(s.seconds for s in kept),
        invalid=_why_invalid(kept, grader_errors, most_grader_errors),
    )


def _pass_estimates(outcomes: statistics.Outcomes, most: int) -> dict[str, Estimate]:
    powers = [2**n for n in range(most.bit_length()) if 2**n < most]
    found = {}
    for name, estimate in (("pass@", statistics.pass_at_k), ("pass^", statistics.pass_hat_k)):
        for k in [*powers, most]:
            # pass^1 is pass@1
            if any(len(task) >= k for task in outcomes) and (name, k) != ("pass^", 1):
                found[f"{name}{k}"] = estimate(outcomes, k)
    return found


def _reward_estimates(
    judged: Sequence[Sequence[Sample]], reward_range: tuple[float, float]
) -> dict[str, Estimate]:
    count = sum(map(len, judged))
    rewards = [fmean(s.value for s in task) for task in judged]
    found = {"mean reward": statistics.within(rewards, *reward_range, count)}
    for name in dict.fromkeys(name for task in judged for s in task for name in s.components):
        measured = [[s.components[name] for s in t if name in s.components] for t in judged]
        means = [fmean(task) for task in measured if task]
        found[f"component/{name}"] = statistics.within(means, 0.0, 1.0, sum(map(len, measured)))
    return found


def _why_invalid(kept: Sequence[Sample], grader_errors: float, most: float) -> str:
    if grader_errors <= most:
        return ""
    reasons = sorted({s.detail for s in kept if not s.judged})
    return (
        f"the grader failed on {grader_errors:.1%} of the samples, more than {most:.1%} "
        f"({'; '.join(reasons[:3])})"
    )
