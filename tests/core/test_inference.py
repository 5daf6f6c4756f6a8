from __future__ import annotations

import math

import numpy as np
import pytest

from acexp.core.estimators import iqm
from acexp.core.inference import (
    bootstrap,
    bootstrap_difference,
    holm,
    mean,
    median,
    permutation_test,
    probability_of_improvement,
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


@pytest.mark.parametrize(("n", "least"), [(5, 0.80), (10, 0.87), (30, 0.91)])
def test_intervals_cover_about_as_often_as_they_say(n: int, least: float) -> None:
    """Of 600 draws from a normal distribution. Percentile intervals of few seeds are known to be a little narrow."""
    rng = np.random.default_rng(2)
    covered = 0
    for trial in range(600):
        low, high = bootstrap([rng.normal(size=n)], mean, seed=trial, resamples=500)
        covered += low <= 0.0 <= high
    assert least <= covered / 600 <= 0.98


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
