"""Where a model is right: by difficulty, by length, by how sure it is of its answer, by tries."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from rlenv.evaluation import statistics
from rlenv.evaluation.samples import Sample
from rlenv.evaluation.statistics import Estimate, share
from rlenv.evaluation.summary import by_task

DIFFICULTY = ("difficulty", "level")  # metadata that says how hard a task is, best first


@dataclass(frozen=True)
class Bin:
    """Samples that have something in common.

    Attributes:
        label: what they have in common.
        x: the label as a number, for the axis of a chart.
        accuracy: the share of samples that are right.
        tasks: how many tasks the samples are of.
    """

    label: str
    x: float
    accuracy: Estimate
    tasks: int


def judged(samples: Iterable[Sample]) -> list[Sample]:
    """Return the samples that count: judged ones, without the greedy ones."""
    return [s for s in samples if s.judged and not s.greedy]


def difficulty_key(samples: Sequence[Sample]) -> str | None:
    """Return which of the tasks' metadata says how hard they are; None if none does."""
    for key in DIFFICULTY:
        values = {repr(s.metadata.get(key)) for s in samples if s.metadata.get(key) is not None}
        if 1 < len(values) <= 20:
            return key
    return None


def by_metadata(samples: Sequence[Sample], key: str) -> list[Bin]:
    """Return the accuracy for each value of a key of the tasks' metadata, in order."""
    have = [s for s in judged(samples) if isinstance(s.metadata.get(key), Hashable)]
    values = sorted({s.metadata[key] for s in have if s.metadata.get(key) is not None}, key=_order)
    return [
        _bin(str(value), float(n), [s for s in have if s.metadata.get(key) == value])
        for n, value in enumerate(values)
    ]


def by_length(
    samples: Sequence[Sample], length: Callable[[Sample], int], most: int = 5
) -> list[Bin]:
    """Return the accuracy in groups of equal size, from the shortest samples to the longest.

    Args:
        samples: those of an evaluation.
        length: returns the length of a sample.
        most: groups; fewer where many samples have one length.
    """
    have = judged(samples)
    lengths = sorted(map(length, have))
    if not lengths:
        return []
    edges = sorted({lengths[len(lengths) * n // most] for n in range(1, most)} - {lengths[0]})
    bins = []
    for low, high in zip([lengths[0], *edges], [*edges, lengths[-1] + 1], strict=True):
        some = [s for s in have if low <= length(s) < high]
        label = f"{low}" if low == high - 1 else f"{low} to {high - 1}"
        bins.append(_bin(label, fmean(map(length, some)), some))
    return bins


def calibration(samples: Sequence[Sample], bins: int = 5) -> tuple[list[Bin], float]:
    """Compare how often a task's winning answer was given with how often such winners are right.

    Args:
        samples: of an evaluation with several samples a task.
        bins: how many bins, of equal width in confidence.

    Returns:
        The bins that hold tasks, x the mean confidence; and the expected calibration error, the
        mean distance of confidence and accuracy over tasks (Guo et al. 2017, eq. 3). NaN where no
        reply could vote.
    """
    tasks = by_task(judged(samples)).values()
    votes = [[(s.answer, s.solved) for s in task] for task in tasks if len(task) > 1]
    winners = [statistics.plurality(task) for task in votes if any(answer for answer, _ in task)]
    found, error = [], 0.0
    for n in range(bins):
        low, high = n / bins, (n + 1) / bins
        inside = [(right, sure) for right, sure in winners if low < sure <= high]
        if inside:
            sure = fmean(s for _, s in inside)
            accuracy = share([right for right, _ in inside])
            found.append(Bin(f"{low:.0%} to {high:.0%}", sure, accuracy, len(inside)))
            error += len(inside) * abs(accuracy.value - sure)
    return found, error / len(winners) if winners else math.nan


def curves(samples: Sequence[Sample]) -> dict[str, list[tuple[int, Estimate]]]:
    """Return `pass@k` and `pass^k` for every k from 1 to the number of samples a task."""
    outcomes = [[s.solved for s in task] for task in by_task(judged(samples)).values()]
    most = max(map(len, outcomes), default=0)
    estimators = {"pass@k": statistics.pass_at_k, "pass^k": statistics.pass_hat_k}
    return {
        name: [(k, estimate(outcomes, k)) for k in range(1, most + 1)]
        for name, estimate in estimators.items()
    }


def _bin(label: str, x: float, samples: Sequence[Sample]) -> Bin:
    tasks = by_task(samples)
    rates = [fmean(s.solved for s in task) for task in tasks.values()]
    return Bin(label, x, share(rates, len(samples)), len(tasks))


def _order(value: Any) -> tuple[int, Any]:
    """Sort numbers by size, before words."""
    return (0, value) if isinstance(value, (int, float)) else (1, str(value))
