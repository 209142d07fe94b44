"""Comparing two evaluations task by task.

Both models answered the same tasks, so the difference is taken within each task. What makes tasks
hard for both then cancels, and a smaller difference can be told from chance (Miller 2024, "Adding
Error Bars to Evals", section 4.2).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from rlenv.common.errors import UserError
from rlenv.evaluation.folder import read_evaluation
from rlenv.evaluation.samples import Sample
from rlenv.evaluation.statistics import Estimate, mean
from rlenv.evaluation.summary import by_task

_EXACT = 14  # differences whose signs are all tried; of more, as many draws as that makes
_DRAWS = 20_000
_LEVEL = 0.05


@dataclass(frozen=True)
class TaskPair:
    """How two models fare on one task.

    Attributes:
        task_key: the key of the task.
        prompt: the task's prompt.
        a: share of A's judged samples that are right.
        b: the same of B's.
    """

    task_key: str
    prompt: str
    a: float
    b: float


@dataclass(frozen=True)
class PairedComparison:
    """Whether B differs from A.

    Attributes:
        tasks: compared, those with a judged sample of both.
        left_out: of either, without one of the other.
        a: pass@1 of A on these tasks.
        b: pass@1 of B on these tasks.
        difference: of B over A, with the interval of the tasks' differences by Student's t.
        p: how often chance alone would make a difference as large: the share of all ways to swap A
            and B within tasks that do (Fisher's randomisation test).
        real: p is below 0.05 and the interval excludes 0.
        gained: tasks that B mostly solves and A mostly does not, largest difference first.
        lost: the other way round.
    """

    tasks: int
    left_out: int
    a: float
    b: float
    difference: Estimate
    p: float
    real: bool
    gained: list[TaskPair]
    lost: list[TaskPair]

    def sentence(self) -> str:
        """Say what came out."""
        points = 100 * self.difference.value
        interval = (
            f"95% interval {100 * self.difference.low:+.1f} to {100 * self.difference.high:+.1f}"
        )
        found = f"{points:+.1f} points on {self.tasks} tasks ({interval}, p = {self.p:.3g})"
        if self.real:
            return f"B is {'better' if points > 0 else 'worse'} than A: {found}."
        return f"No difference can be told from chance: {found}."


def compare_evaluations(a: Path, b: Path) -> PairedComparison:
    """Compare two finished evaluations on the same tasks.

    Args:
        a: folder of the first.
        b: folder of the second.

    Raises:
        UserError: a folder holds no evaluation, or they are not of the same tasks.
    """
    first, samples_a = read_evaluation(a)
    second, samples_b = read_evaluation(b)
    check_comparable(a, first, b, second)
    return compare_samples(samples_a, samples_b)


def check_comparable(a: Path, first: Mapping[str, Any], b: Path, second: Mapping[str, Any]) -> None:
    """Raise a `UserError` if two results are invalid or not of the same tasks."""
    for name in ("env", "split", "fingerprint"):
        if first[name] != second[name]:
            raise UserError(
                f"{a} and {b} are not of the same tasks ({name} is {first[name]} and "
                f"{second[name]}); evaluate both on one environment with the same options"
            )
    for path, result in ((a, first), (b, second)):
        if result["invalid"]:
            raise UserError(f"the result in {path} is invalid: {result['invalid']}")


def compare_samples(a: Sequence[Sample], b: Sequence[Sample]) -> PairedComparison:
    """Compare the samples of two models, greedy ones aside.

    Raises:
        UserError: they have no task in common.
    """
    rates_a, rates_b = _rates(a), _rates(b)
    prompts = {s.task_key: s.prompt for s in a}
    common = [key for key in rates_a if key in rates_b]
    if not common:
        raise UserError("the two evaluations have no judged task in common")
    pairs = [TaskPair(key, prompts[key], rates_a[key], rates_b[key]) for key in common]
    differences = [pair.b - pair.a for pair in pairs]
    estimate = mean(differences)
    p = swapping_test(differences)
    flipped = sorted(
        (pair for pair in pairs if (pair.a > 0.5) != (pair.b > 0.5)),
        key=lambda pair: -abs(pair.b - pair.a),
    )
    return PairedComparison(
        tasks=len(pairs),
        left_out=len(rates_a.keys() ^ rates_b.keys()),
        a=fmean(pair.a for pair in pairs),
        b=fmean(pair.b for pair in pairs),
        difference=estimate,
        p=p,
        real=p < _LEVEL and not estimate.low <= 0 <= estimate.high,
        gained=[pair for pair in flipped if pair.b > pair.a],
        lost=[pair for pair in flipped if pair.b < pair.a],
    )


def swapping_test(differences: Sequence[float]) -> float:
    """Return the p-value of a sum of differences under swapping within pairs, two-sided.

    If neither is better, each difference could as well have the other sign. With at most 14
    differences that are not 0, all signs are tried, else 20,000 random ones and the one observed
    (Phipson and Smyth 2010).

    Args:
        differences: (pairs,)
    """
    moved = np.array([d for d in differences if d], float)
    if not len(moved):
        return 1.0
    observed = abs(moved.sum()) - 1e-9
    if len(moved) <= _EXACT:
        signs = np.array(list(itertools.product((-1.0, 1.0), repeat=len(moved))))
        return float((np.abs(signs @ moved) >= observed).mean())
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(_DRAWS // 1000):
        signs = rng.integers(0, 2, (1000, len(moved))) * 2.0 - 1
        hits += int((np.abs(signs @ moved) >= observed).sum())
    return (hits + 1) / (_DRAWS + 1)


def _rates(samples: Sequence[Sample]) -> dict[str, float]:
    """Return the share of each task's judged samples that are right."""
    judged = by_task(s for s in samples if not s.greedy and s.judged)
    return {key: fmean(s.solved for s in task) for key, task in judged.items()}
