from __future__ import annotations

import math

import numpy as np
import pytest

from acexp.core.estimators import iqm
from acexp.report.inference import (
    Statistic,
    band,
    bootstrap,
    bootstrap_difference,
    fewest_seeds,
    holm,
    mean,
    median,
    permutation_test,
    probability_of_improvement,
    profile,
    seeds_needed,
)


def test_the_statistics_of_rows_are_those_of_each_row() -> None:
    rows = np.random.default_rng(0).normal(size=(5, 11))
    for row, a, b, c in zip(rows, mean(rows), median(rows), iqm(rows), strict=True):
        assert (a, b) == (pytest.approx(row.mean()), pytest.approx(np.median(row)))
        assert c == pytest.approx(np.sort(row)[2:9].mean())


def test_every_resample_of_two_numbers_by_hand() -> None:
    """Of 0 and 1, means are 0, 1/2, 1/2 and 1, each with probability 1/4."""
    assert bootstrap([[0.0, 1.0]], mean, seed=0) == (0.0, 1.0)
    assert bootstrap([[3.0, 3.0]], mean, seed=0) == (3.0, 3.0)
    assert bootstrap([[5.0]], mean, seed=0) == (-math.inf, math.inf)


def test_strata_are_not_mixed() -> None:
    """Between two environments with no spread of their own, nothing varies."""
    assert bootstrap([[0.0, 0.0], [10.0, 10.0]], mean, seed=0) == (5.0, 5.0)
    assert bootstrap([[0.0, 0.0, 10.0, 10.0]], mean, seed=0).low < 5.0


def test_the_same_seed_gives_the_same_interval_and_another_hardly_another() -> None:
    x = np.random.default_rng(1).normal(size=10)
    first, again, other = (bootstrap([x], iqm, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert first == pytest.approx(other, abs=0.1)


@pytest.mark.parametrize("statistic", [mean, median, iqm])
@pytest.mark.parametrize(("n", "least"), [(5, 0.80), (10, 0.87), (30, 0.91)])
def test_intervals_cover_about_as_often_as_they_say(n: int, least: float, statistic: Statistic) -> None:
    """Of 600 draws from a normal distribution. Percentile intervals of few seeds are known to be a little narrow."""
    rng = np.random.default_rng(2)
    covered = 0
    for trial in range(600):
        low, high = bootstrap([rng.normal(size=n)], statistic, seed=trial, resamples=500)
        covered += low <= 0.0 <= high
    assert least <= covered / 600 <= 0.98


def test_intervals_over_strata_cover_too() -> None:
    """The mean of three environments of quite different spread, ten seeds each."""
    rng = np.random.default_rng(3)
    covered = 0
    for trial in range(600):
        low, high = bootstrap([rng.normal(size=10) * s for s in (1.0, 5.0, 20.0)], mean, seed=trial, resamples=500)
        covered += low <= 0.0 <= high
    assert 0.87 <= covered / 600 <= 0.98


@pytest.mark.parametrize("paired", [True, False])
def test_intervals_of_differences_cover_too(*, paired: bool) -> None:
    rng = np.random.default_rng(4)
    covered = 0
    for trial in range(600):
        common = rng.normal(size=10) if paired else 0.0
        x, y = rng.normal(size=10) + common + 1.0, rng.normal(size=10) + common
        low, high = bootstrap_difference(x, y, mean, seed=trial, paired=paired, resamples=500)
        covered += low <= 1.0 <= high
    assert 0.87 <= covered / 600 <= 0.98


def test_bands_cover_at_each_point() -> None:
    rng = np.random.default_rng(5)
    covered = np.zeros(4)
    for trial in range(400):
        low, high = band(rng.normal(size=(10, 4)).cumsum(1), seed=trial, resamples=400)
        covered += (low <= 0.0) & (high >= 0.0)
    assert ((covered / 400 >= 0.86) & (covered / 400 <= 0.98)).all()


def test_a_profile_by_hand() -> None:
    assert profile([1.0, 2.0, 2.0, 4.0], [0.0, 1.0, 2.0, 3.9, 4.0]).tolist() == [1.0, 0.75, 0.25, 0.25, 0.0]


def test_from_how_many_seeds_on_a_permutation_can_tell() -> None:
    """2 of 2^6 sign patterns are below 0.05, 2 of 2^5 are not; of two groups, 2 of the 70 ways to divide 4 and 4."""
    assert (fewest_seeds(0.05, paired=True), fewest_seeds(0.05, paired=False)) == (6, 4)


def test_a_paired_difference_is_narrower_where_pairs_go_together() -> None:
    rng = np.random.default_rng(3)
    base = rng.normal(scale=10.0, size=10)
    x, y = base + 1.0 + rng.normal(scale=0.1, size=10), base
    low, high = bootstrap_difference(x, y, mean, seed=0, paired=True)
    assert 0.8 < low < 1.0 < high < 1.2
    low, high = bootstrap_difference(x, y, mean, seed=0, paired=False)
    assert low < 0.0 < high


def test_the_probability_of_improvement_by_hand() -> None:
    assert probability_of_improvement([2, 3], [0, 2]) == (1 + 0.5 + 1 + 1) / 4
    assert probability_of_improvement([1, 1], [1, 1]) == 0.5
    assert probability_of_improvement([0], [1]) == 0.0


def test_the_exact_paired_test_by_hand() -> None:
    """Of 2^3 assignments of signs to (1, 2, 4), only all plus and all minus are as extreme as all plus."""
    assert permutation_test([1, 2, 4], [0, 0, 0], seed=0, paired=True) == 2 / 8
    assert permutation_test([1, -1], [0, 0], seed=0, paired=True) == 1.0


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("n", [8, 20])
def test_a_test_errs_as_often_as_it_says(n: int, *, paired: bool) -> None:
    rng = np.random.default_rng(4)
    rejected = sum(
        permutation_test(rng.normal(size=n), rng.normal(size=n), seed=trial, paired=paired, resamples=400) <= 0.05
        for trial in range(400)
    )
    assert 0.02 <= rejected / 400 <= 0.085


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_how_many_seeds_would_tell() -> None:
    """(1.96 + 0.84)^2 * variance / distance^2: 7.85 * 1 / 0.25 = 31.4 for pairs with deviation 1, half apart."""
    x = np.array([1.5, -0.5, 1.5, -0.5, 0.5])
    assert (x.mean(), x.var(ddof=1)) == (0.5, 1.0)
    assert seeds_needed(x, np.zeros(5), paired=True) == 32
    assert seeds_needed([1, 2], [1, 2], paired=True) is None
    assert seeds_needed([1], [2], paired=True) is None
