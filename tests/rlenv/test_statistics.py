"""Estimates against brute force, exact formulas, and their coverage in simulations."""

import itertools
import math
import random
import statistics as plain

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlenv.evaluation import statistics
from rlenv.evaluation.statistics import Estimate

OUTCOMES = st.lists(
    st.integers(1, 5).flatmap(lambda n: st.lists(st.booleans(), min_size=n, max_size=n)),
    min_size=1,
    max_size=6,
)


@given(OUTCOMES, st.integers(1, 5))
def test_pass_at_k_and_pass_hat_k_are_means_over_all_choices_of_k_samples(outcomes, k):
    used = [task for task in outcomes if len(task) >= k]
    if not used:
        with pytest.raises(ValueError, match="nothing to estimate"):
            statistics.pass_at_k(outcomes, k)
        return
    drawn = [list(itertools.combinations(task, k)) for task in used]
    at_least_one = plain.fmean(plain.fmean(map(any, draws)) for draws in drawn)
    every_one = plain.fmean(plain.fmean(map(all, draws)) for draws in drawn)
    assert statistics.pass_at_k(outcomes, k).value == pytest.approx(at_least_one)
    assert statistics.pass_hat_k(outcomes, k).value == pytest.approx(every_one)


@given(OUTCOMES)
def test_an_interval_holds_its_figure_and_stays_a_share(outcomes):
    for estimate in (statistics.pass_at_1(outcomes), statistics.pass_hat_k(outcomes, 1)):
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
        assert estimate.low < estimate.high  # even where all tasks agree


def test_pass_at_k_of_the_paper():
    # Chen et al. 2021, section 2.1: the product form they give for numerical stability
    n, c, k = 200, 37, 100
    product = 1 - np.prod(1 - k / np.arange(n - c + 1, n + 1))
    ours = statistics.pass_at_k([[True] * c + [False] * (n - c)], k).value
    assert ours == pytest.approx(product, rel=1e-12)


def test_a_repeated_sample_adds_no_certainty():
    once = [[n % 3 == 0] for n in range(60)]
    often = [task * 8 for task in once]
    a, b = statistics.pass_at_1(once), statistics.pass_at_1(often)
    assert b.high - b.low == pytest.approx(a.high - a.low, rel=0.01)


def test_the_clustered_error_is_that_of_millers_formula():
    rng = random.Random(0)
    outcomes = [[rng.random() < p for _ in range(4)] for p in (rng.random() for _ in range(400))]
    scores = np.array(outcomes, float)
    centred = scores - scores.mean()
    # sum over clusters of all products of two samples' deviations, over N^2 (section 2.2)
    error = math.sqrt((centred.sum(1) ** 2).sum()) / scores.size
    found = statistics.pass_at_1(outcomes)
    assert (found.high - found.low) / (2 * 1.959964) == pytest.approx(error, rel=0.02)


def test_a_range_without_an_end_is_that_of_figures_without_bounds():
    values = [-3.0, 1.5, 0.25]
    for low, high in [(-math.inf, math.inf), (-math.inf, 2.0), (-4.0, math.inf), (0.0, 0.0)]:
        assert statistics.within(values, low, high) == statistics.mean(values)


@pytest.mark.parametrize("rates", [[0.2, 0.3], [0.5, 0.9], [0.2, 0.3, 0.25]])
def test_few_tasks_of_many_samples_count_for_as_many_as_have_their_clustered_error(rates):
    """Wilson's interval solved for the share, where the standard error is that of the tasks."""
    value, n = plain.fmean(rates), len(rates)
    error = math.sqrt(plain.variance(rates) / n)
    worth = value * (1 - value) / error**2
    z = plain.NormalDist().inv_cdf(0.975)
    found = statistics.share(rates, samples=10_000)
    for bound in (found.low, found.high):  # it lies z standard errors away, by its own spread
        assert abs(value - bound) == pytest.approx(z * math.sqrt(bound * (1 - bound) / worth))


@pytest.mark.parametrize("tasks", [30, 200])
@pytest.mark.parametrize(
    ("rates", "floor"),
    [
        (lambda rng, n: rng.random(n), 0.93),  # tasks of all difficulties
        (lambda rng, n: (rng.random(n) < 0.5).astype(float), 0.93),  # known or not
        (lambda rng, n: np.full(n, 0.03), 0.93),  # all alike and hard
    ],
)
def test_intervals_cover_the_truth_95_times_in_100(tasks, rates, floor):
    rng = np.random.default_rng(0)
    truth = rates(rng, 200_000).mean()
    trials, covered = 600, 0
    for _ in range(trials):
        p = rates(rng, tasks)
        right = rng.random((tasks, 4)) < p[:, None]
        found = statistics.pass_at_1(right.tolist())
        covered += found.low <= truth <= found.high
    assert floor <= covered / trials <= 1


@pytest.mark.parametrize("tasks", [50, 200])
def test_intervals_of_pass_hat_k_cover_rare_tasks_that_are_known(tasks):
    """Few tasks are always solved and the others seldom: what is rare must not look impossible."""
    rng = np.random.default_rng(0)
    known, seldom = 0.03, 0.15
    truth = known + (1 - known) * seldom**4
    covered = 0
    for _ in range(400):
        p = np.where(rng.random(tasks) < known, 1.0, seldom)
        found = statistics.pass_hat_k((rng.random((tasks, 8)) < p[:, None]).tolist(), 4)
        covered += found.low <= truth <= found.high
    assert covered / 400 >= 0.9


def test_samples_counted_as_independent_would_cover_less():
    """What the clustering is for: the same simulation with each sample as its own task."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        known = rng.random(100) < 0.5
        right = np.repeat(known[:, None], 8, 1)
        found = statistics.pass_at_1([[bool(x)] for x in right.ravel()])
        covered += found.low <= 0.5 <= found.high
    assert covered / 300 < 0.7


def wilson(mean, n):
    """The shares from which a mean of n samples lies 1.96 standard errors away (Wilson 1927)."""
    z2 = plain.NormalDist().inv_cdf(0.975) ** 2
    # (p - mean)^2 = z^2 p (1 - p) / n
    return sorted(np.roots([1 + z2 / n, -2 * mean - z2 / n, mean**2]).real)


SPREAD = [0.25, 0.5, 0.75, 0.5, 0.4, 0.6]


@pytest.mark.parametrize(
    ("rates", "samples", "n"),
    [
        ([1.0] * 7 + [0.0] * 13, None, 20),
        ([1.0] * 7 + [0.0] * 13, 80, 20),  # of one task, all samples agree
        ([0.4], None, 1),
        ([0.5, 0.5, 0.5, 0.5], 40, 4),
        (SPREAD, None, 6),
        (SPREAD, 24, 24),
        # as many as would have the error of six figures that differ so little
        (SPREAD, 1000, 0.5 * 0.5 / (np.var(SPREAD, ddof=1) / 6)),
    ],
)
def test_a_share_has_wilsons_interval_for_the_samples_that_count(rates, samples, n):
    found = statistics.share(rates, samples)
    assert found.value == pytest.approx(np.mean(rates))
    assert (found.low, found.high) == pytest.approx(wilson(np.mean(rates), n), abs=1e-9)


def test_where_all_tasks_agree_the_interval_ends_at_their_share():
    for n in range(1, 400):
        none, every = statistics.share([0.0] * n), statistics.share([1.0] * n)
        assert none.low == 0 < none.high
        assert every.low < 1 == every.high


def test_what_is_no_share_is_refused():
    for rates in ([0.5, 1.5], [-0.5, 0.5]):
        with pytest.raises(ValueError, match=r"lie in \[0, 1\]"):
            statistics.share(rates)
    with pytest.raises(ValueError, match="no sample was judged"):
        statistics.mean([])
    with pytest.raises(ValueError, match="k is at least 1"):
        statistics.pass_at_k([[True]], 0)
    with pytest.raises(ValueError, match="no task has 2 judged samples"):
        statistics.pass_at_k([[True]], 2)


def exact_t95(degrees):
    """The 97.5% point of Student's t to 30 digits, from the incomplete beta function."""
    with mpmath.workdps(30):

        def above(t):
            x = degrees / (degrees + t**2)
            return mpmath.betainc(mpmath.mpf(degrees) / 2, 0.5, 0, x, regularized=True) / 2

        return float(mpmath.findroot(lambda t: above(t) - 0.025, (1.9, 2.5), solver="anderson"))


@pytest.mark.parametrize("degrees", [10, 12, 30, 100, 1000])
def test_students_t_quantile(degrees):
    """The series ends before 1 / degrees^4, and so does what it lacks."""
    assert statistics.t95(degrees) == pytest.approx(exact_t95(degrees), abs=1.9 / degrees**4)


@pytest.mark.parametrize("degrees", range(1, 10))
def test_students_t_quantile_from_the_table(degrees):
    point = 12.7062 if degrees == 1 else 4.3027 if degrees == 2 else exact_t95(degrees)
    assert statistics.t95(degrees) == pytest.approx(point, abs=6e-5)


def test_a_mean_without_bounds():
    found = statistics.mean([10.0, 12.0, 14.0])
    half = 4.3027 * 2 / math.sqrt(3)
    assert found.value == 12
    assert (found.low, found.high) == (pytest.approx(12 - half), pytest.approx(12 + half))
    assert statistics.mean([3.0]) == Estimate(3.0, -math.inf, math.inf)


def test_a_mean_with_bounds_keeps_to_them():
    found = statistics.within([-1.0, -1.0, -1.0, 1.0], -1.0, 1.0)
    assert found.value == -0.5
    assert -1 <= found.low < -0.5 < found.high <= 1
    assert statistics.within([0.0, 7.0], 0.0, 1.0) == statistics.mean([0.0, 7.0])


def test_a_mean_with_bounds_is_a_share_of_their_range():
    share = statistics.share([0.0, 0.5, 1.0, 0.25], 9)
    found = statistics.within([20.0, 25.0, 30.0, 22.5], 20.0, 30.0, 9)
    expected = [20 + 10 * x for x in (share.value, share.low, share.high)]
    assert [found.value, found.low, found.high] == pytest.approx(expected)
    assert statistics.within([3.0, 3.0], 3.0, 3.0) == statistics.mean([3.0, 3.0])


def test_plurality():
    vote = statistics.plurality
    assert vote([("4", True), ("5", False), ("4", True)]) == (1.0, 2 / 3)
    assert vote([("4", True), ("5", False)]) == (0.5, 0.5)  # a tie is drawn by lot
    assert vote([(None, False), ("5", False), ("4", True), ("4", True)]) == (1.0, 0.5)
    assert vote([(None, False)]) == (0.0, 0.0)
