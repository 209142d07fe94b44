"""Estimates with 95% confidence intervals that respect that samples of one task belong together.

Tasks are drawn, then each is answered several times. Samples of one task resemble each other, so
counting them as independent makes intervals too narrow. Everything here first takes one figure a
task; these are independent, and their spread holds both the tasks' differences and the sampling
(clustered standard errors: Miller 2024, "Adding Error Bars to Evals", section 2.2).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, variance

_Z95 = NormalDist().inv_cdf(0.975)
# the 97.5% points of Student's t with few degrees of freedom, from 1
_T95 = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622)

Outcomes = Sequence[Sequence[bool]]
"""For each task, whether each judged sample was right."""

Vote = tuple["str | None", bool]
"""What a reply answers, None where it answers nothing, and whether that was right."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95% confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def share(rates: Sequence[float], samples: int | None = None) -> Estimate:
    """Estimate the mean of figures that lie in [0, 1], one a task.

    The interval is Wilson's (1927) for as many independent samples as would have the clustered
    standard error, so it stays inside [0, 1] and does not collapse where all tasks agree.

    Args:
        rates: (tasks,) one figure a task.
        samples: how many samples the figures were made from; never more than so many count.

    Raises:
        ValueError: there is no figure, or one lies outside [0, 1].
    """
    n = _count(rates)
    if not all(0 <= rate <= 1 for rate in rates):
        raise ValueError(f"shares lie in [0, 1], got {min(rates)} to {max(rates)}")
    mean = min(1.0, max(0.0, fmean(rates)))
    effective = float(n)
    squared_error = variance(rates) / n if n > 1 else 0.0
    if squared_error > 0:
        effective = min(max(mean * (1 - mean) / squared_error, n), samples or n)
    z2 = _Z95**2
    centre = (mean + z2 / (2 * effective)) / (1 + z2 / effective)
    spread = mean * (1 - mean) / effective + z2 / (4 * effective**2)
    half = _Z95 / (1 + z2 / effective) * math.sqrt(spread)
    return Estimate(mean, max(0.0, min(mean, centre - half)), min(1.0, max(mean, centre + half)))


def mean(values: Sequence[float]) -> Estimate:
    """Estimate the mean of figures without bounds, one a task, by Student's t.

    Raises:
        ValueError: there is no figure.
    """
    n = _count(values)
    middle = fmean(values)
    if n == 1:
        return Estimate(middle, -math.inf, math.inf)
    half = t95(n - 1) * math.sqrt(variance(values) / n)
    return Estimate(middle, middle - half, middle + half)


def within(
    values: Sequence[float], low: float, high: float, samples: int | None = None
) -> Estimate:
    """Estimate the mean of figures that lie in [low, high], one a task; see `share`.

    Where a figure lies outside all the same, or the range is empty or has no end, see `mean`.
    """
    width = high - low
    if not 0 < width < math.inf or not all(low <= value <= high for value in values):
        return mean(values)
    found = share([min(1.0, (value - low) / width) for value in values], samples)
    return Estimate(*(low + width * x for x in (found.value, found.low, found.high)))


def pass_at_1(outcomes: Outcomes) -> Estimate:
    """Estimate the chance that one sample of one task is right; see `pass_at_k`."""
    return pass_at_k(outcomes, 1)


def pass_at_k(outcomes: Outcomes, k: int) -> Estimate:
    """Estimate the chance that at least one of k samples of a task is right.

    Of n samples with c right, 1 - C(n-c, k) / C(n, k) is unbiased (Chen et al. 2021, "Evaluating
    Large Language Models Trained on Code", eq. 1).

    Args:
        outcomes: tasks with fewer than k judged samples are left out.
        k: how many tries.

    Raises:
        ValueError: no task has k judged samples.
    """
    return _over_tasks(outcomes, k, lambda n, right: 1 - math.comb(n - right, k) / math.comb(n, k))


def pass_hat_k(outcomes: Outcomes, k: int) -> Estimate:
    """Estimate the chance that all of k samples of a task are right (pass^k).

    Of n samples with c right, C(c, k) / C(n, k) is unbiased (Yao et al. 2024, "tau-bench",
    section 3).

    Args:
        outcomes: tasks with fewer than k judged samples are left out.
        k: how many tries.

    Raises:
        ValueError: no task has k judged samples.
    """
    return _over_tasks(outcomes, k, lambda n, right: math.comb(right, k) / math.comb(n, k))


def _over_tasks(outcomes: Outcomes, k: int, of_task: Callable[[int, int], float]) -> Estimate:
    if k < 1:
        raise ValueError(f"k is at least 1, got {k}")
    used = [task for task in outcomes if len(task) >= k]
    if not used:
        raise ValueError(f"no task has {k} judged samples, so there is nothing to estimate")
    # n samples hold n / k separate sets of k tries
    tries = max(len(used), sum(map(len, used)) // k)
    return share([of_task(len(task), sum(task)) for task in used], tries)


def plurality(votes: Sequence[Vote]) -> tuple[float, float]:
    """Let the replies to one task vote (self-consistency, Wang et al. 2023).

    Args:
        votes: those of the judged replies.

    Returns:
        The chance that the winner is right, ties drawn by lot, and the share of all replies that
        voted for it. (0, 0) where no reply answers anything.
    """
    ballots: dict[str, list[bool]] = defaultdict(list)
    for answer, right in votes:
        if answer is not None:
            ballots[answer].append(right)
    if not ballots:
        return 0.0, 0.0
    most = max(map(len, ballots.values()))
    winners = [fmean(rights) for rights in ballots.values() if len(rights) == most]
    return fmean(winners), most / len(votes)


def t95(degrees: int) -> float:
    """Return the 97.5% point of Student's t (Abramowitz and Stegun 1964, 26.7.5)."""
    if degrees <= len(_T95):
        return _T95[degrees - 1]
    z, v = _Z95, degrees
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    )


def _count(values: Sequence[float]) -> int:
    if not values:
        raise ValueError("no sample was judged, so there is nothing to estimate")
    return len(values)
