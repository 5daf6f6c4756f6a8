"""The report's statistics, by hand and by simulation: what docs/report.md promises is what happens."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from acexp.core.estimators import iqm
from acexp.report.inference import (
    ERROR,
    MOST_SEEDS,
    Floats,
    Mean,
    Statistic,
    band,
    bootstrap,
    fewest_seeds,
    holm,
    mean,
    median,
    p_of_equal_means,
    permutation_test,
    probability_of_improvement,
    profile,
    seeds_needed,
)

RESAMPLES = 300
"""The number of random arrangements and resamples in simulations."""


def decided(x: Floats, y: Floats, *, paired: bool) -> bool:
    """Whether a report of one comparison would say that the means differ."""
    return p_of_equal_means(x, y, seed=0, paired=paired, resamples=RESAMPLES) <= ERROR


def collapsing(rng: np.random.Generator, n: int) -> Floats:
    """Scores of which a fifth are about 0 and the others about 100: their mean is 80."""
    return 100.0 * (rng.random(n) < 0.8) + 5.0 * rng.normal(size=n)


def test_the_statistics_of_rows_are_those_of_each_row() -> None:
    rows = np.random.default_rng(0).normal(size=(5, 11))
    for row, a, b, c in zip(rows, mean(rows), median(rows), iqm(rows), strict=True):
        assert (a, b) == (pytest.approx(row.mean()), pytest.approx(np.median(row)))
        assert c == pytest.approx(np.sort(row)[2:9].mean())


# Intervals


def test_the_interval_of_a_mean_by_hand() -> None:
    """The deviation of 1, 2 and 3 is 1, and t with 2 degrees of freedom 4.30265."""
    margin = 4.30265 / math.sqrt(3.0)
    assert Mean.of([1, 2, 3]).interval == pytest.approx((2.0 - margin, 2.0 + margin), abs=1e-5)
    assert Mean.of([0.1, 0.1, 0.1]).interval == (0.1, 0.1)


def test_welchs_interval_by_hand() -> None:
    """Equal spreads, three of each: 4 degrees of freedom, as if they were pooled. A group without weight is nothing."""
    means = [Mean.of(x) for x in ([1, 2, 3], [0, 1, 2], [5])]
    margin = 2.77645 * math.sqrt(2.0 / 3.0)
    assert Mean.sum(means, [1.0, -1.0, 0.0]).interval == pytest.approx((1.0 - margin, 1.0 + margin), abs=1e-5)
    # Variances of the means 1/3 and 5/3, with 2 and 3 degrees of freedom: 4 / (1/18 + 25/27) = 216/53, a bit above 4.
    found = Mean.of_difference([1, 2, 3], [-3, -1, 1, 3], paired=False)
    assert found == pytest.approx((2.0, 2.0, 216 / 53))
    assert found.interval is not None
    assert 2.57058 < (found.interval.high - 2.0) / math.sqrt(2.0) < 2.77645


def test_an_interval_excludes_zero_where_p_is_small() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        found = Mean.of_difference(rng.normal(size=6) + 1.5, rng.normal(size=4), paired=False)
        assert found.interval is not None
        assert (found.interval.low * found.interval.high > 0.0) == (found.p <= ERROR)
    assert Mean.of([0.0, 0.0, 0.0]).p == 1.0
    assert Mean.of([2.0, 2.0, 2.0]).p == 0.0
    # t is 2 sqrt(3), which with 2 degrees of freedom is exceeded in (1 - t / sqrt(2 + t^2)) / 2 of cases.
    assert Mean.of([1.0, 2.0, 3.0]).p == pytest.approx(1.0 - math.sqrt(12.0 / 14.0))


def test_too_few_seeds_have_no_interval() -> None:
    assert Mean.of([1, 2]).interval is None
    assert Mean.of([1, 1]).interval is None
    assert Mean.of_difference([1, 2, 3], [1, 2], paired=False).interval is None
    assert p_of_equal_means([1, 2, 3], [8, 9], seed=0, paired=False) == 1.0
    assert band([[1.0], [2.0]]) is None
    for statistic in (iqm, median):
        assert bootstrap([[1, 2, 3, 4]], statistic, seed=0) is None
        assert bootstrap([[1, 2, 3, 4, 5], [1, 2]], statistic, seed=0) is None


def test_a_band_is_the_interval_at_each_point() -> None:
    values = np.random.default_rng(0).normal(size=(5, 3))
    found = band(values)
    assert found is not None
    for low, high, column in zip(*found, values.T, strict=True):
        assert Mean.of(column).interval == pytest.approx((low, high))


def test_strata_are_not_mixed() -> None:
    """Between two environments with no spread of their own, nothing varies."""
    assert bootstrap([[0.0] * 5, [10.0] * 5], mean, seed=0) == (5.0, 5.0)
    mixed = bootstrap([[0.0] * 5 + [10.0] * 5], mean, seed=0)
    assert mixed is not None
    assert mixed.low < 5.0


def test_the_same_seed_gives_the_same_interval_and_another_hardly_another() -> None:
    x = np.random.default_rng(1).normal(size=10)
    first, again, other = (bootstrap([x], iqm, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert first == pytest.approx(other, abs=0.2)


DRAWS: dict[str, tuple[Callable[[np.random.Generator, tuple[int, int]], Floats], float]] = {
    "normal": (lambda rng, shape: rng.normal(size=shape), 0.0),
    "skewed": (lambda rng, shape: rng.exponential(size=shape), 1.0),
    "collapse": (lambda rng, shape: 100.0 * (rng.random(shape) < 0.8) + 5.0 * rng.normal(size=shape), 80.0),
}


@pytest.mark.parametrize(
    ("kind", "n", "least"),
    [
        *(("normal", n, 0.94) for n in (3, 4, 5, 6, 8, 10, 20, 30)),
        *(("skewed", n, 0.86) for n in (3, 5, 6, 8, 10, 20)),
        # With no collapse among n runs, nothing shows that there is one: 0.8^n of all studies.
        *(("collapse", n, 1.0 - 0.8**n - 0.03) for n in (3, 5, 6, 8, 10)),
        ("collapse", 20, 0.91),
    ],
)
def test_intervals_of_means_cover_as_often_as_the_page_says(kind: str, n: int, least: float) -> None:
    draw, true = DRAWS[kind]
    found = band(draw(np.random.default_rng(2), (n, 8000)))
    assert found is not None
    assert least <= ((found[0] <= true) & (true <= found[1])).mean() <= 0.96


# The IQM is the mean between the quartiles; of scores that collapse, the middles are those of a few more than the rest.
MIDDLES: dict[str, dict[Statistic, float]] = {
    "normal": {median: 0.0, iqm: 0.0},
    "skewed": {median: math.log(2.0), iqm: 1.0 - 1.5 * math.log(3.0) + 2.0 * math.log(2.0)},
    "collapse": {median: 98.407, iqm: 98.134},
}


@pytest.mark.parametrize("statistic", [median, iqm])
@pytest.mark.parametrize(
    ("kind", "n"),
    [*(("normal", n) for n in (5, 6, 8, 10, 30)), *((kind, n) for kind in ("skewed", "collapse") for n in (5, 10))],
)
def test_intervals_of_middles_cover_as_often_as_the_page_says(kind: str, n: int, statistic: Statistic) -> None:
    rng, (draw, _), true = np.random.default_rng(2), DRAWS[kind], MIDDLES[kind][statistic]
    covered = 0
    for trial in range(400):
        found = bootstrap([draw(rng, (1, n))[0]], statistic, seed=trial, resamples=600)
        assert found is not None
        covered += found.low <= true <= found.high
    assert 0.915 <= covered / 400 <= 0.99


@pytest.mark.parametrize("statistic", [median, iqm])
def test_middles_do_not_show_a_collapse_of_a_fifth(statistic: Statistic) -> None:
    """By a million runs: they lose less than half of the deviation, 5, where the mean loses 20."""
    draw, true_mean = DRAWS["collapse"]
    scores = draw(np.random.default_rng(3), (1, 1_000_000))[0]
    assert scores.mean() == pytest.approx(true_mean, abs=0.2)
    found = float(statistic(scores))
    assert found == pytest.approx(MIDDLES["collapse"][statistic], abs=0.05)
    assert found > 97.5


def test_no_interval_of_five_holds_the_median_more_often_than_all_of_them() -> None:
    """The median is outside if all five lie on one side of it."""
    x = np.random.default_rng(4).normal(size=(20_000, 5))
    inside = ((x.min(1) <= 0.0) & (x.max(1) >= 0.0)).mean()
    assert inside == pytest.approx(1.0 - 2.0 * 0.5**5, abs=0.005)


def test_a_band_holds_at_each_step_and_not_for_the_whole_curve() -> None:
    """Eight runs that are random walks of 50 steps."""
    rng, at_each, whole = np.random.default_rng(5), 0.0, 0
    for _ in range(300):
        found = band(rng.normal(size=(8, 50)).cumsum(axis=1))
        assert found is not None
        inside = (found[0] <= 0.0) & (found[1] >= 0.0)
        at_each += inside.mean() / 300
        whole += inside.all()
    assert at_each == pytest.approx(0.95, abs=0.03)
    assert whole / 300 < 0.85


def test_failures_that_n_seeds_without_one_make_unlikely() -> None:
    """The rule of three: at 3/n, n seeds without a failure have a probability of at most 5%."""
    for n in (5, 10, 30, 1000):
        assert 0.01 <= (1.0 - 3.0 / n) ** n <= 0.05


@pytest.mark.parametrize("statistic", [mean, median, iqm])
def test_intervals_over_strata_cover_too(statistic: Statistic) -> None:
    """Three environments of quite different spread, five seeds each."""
    rng = np.random.default_rng(3)
    covered = 0
    for trial in range(400):
        strata = [rng.normal(size=5) * s for s in (1.0, 5.0, 20.0)]
        if statistic is mean:
            found = Mean.sum([Mean.of(each) for each in strata], [1 / 3] * 3).interval
        else:
            found = bootstrap(strata, statistic, seed=trial, resamples=600)
        assert found is not None
        covered += found.low <= 0.0 <= found.high
    assert 0.92 <= covered / 400 <= 0.995


@pytest.mark.parametrize(("n", "spreads"), [((5, 5), (1, 1)), ((10, 10), (1, 5)), ((10, 3), (1, 5)), ((10, 4), (5, 1))])
def test_intervals_of_differences_cover_too(n: tuple[int, int], spreads: tuple[float, float]) -> None:
    rng = np.random.default_rng(4)
    covered = 0
    for _ in range(600):
        x, y = (spread * rng.normal(size=size) for size, spread in zip(n, spreads, strict=True))
        found = Mean.of_difference(x, y, paired=False).interval
        assert found is not None
        covered += found.low <= 0.0 <= found.high
    assert 0.93 <= covered / 600 <= 0.975


def test_a_paired_difference_is_narrower_where_pairs_go_together() -> None:
    rng = np.random.default_rng(3)
    base = rng.normal(scale=10.0, size=10)
    x, y = base + 1.0 + rng.normal(scale=0.1, size=10), base
    found = Mean.of_difference(x, y, paired=True).interval
    assert found is not None
    assert 0.8 < found.low < 1.0 < found.high < 1.2
    found = Mean.of_difference(x, y, paired=False).interval
    assert found is not None
    assert found.low < 0.0 < found.high


def test_a_profile_by_hand() -> None:
    assert profile([1.0, 2.0, 2.0, 4.0], [0.0, 1.0, 2.0, 3.9, 4.0]).tolist() == [1.0, 0.75, 0.25, 0.25, 0.0]


def test_the_probability_of_improvement_by_hand() -> None:
    assert probability_of_improvement([2, 3], [0, 2]) == (1 + 0.5 + 1 + 1) / 4
    assert probability_of_improvement([1, 1], [1, 1]) == 0.5
    assert probability_of_improvement([0], [1]) == 0.0


# Tests


def test_the_exact_paired_test_by_hand() -> None:
    """Of 2^3 assignments of signs to (1, 2, 4), only all plus and all minus are as extreme as all plus."""
    assert permutation_test([1, 2, 4], [0, 0, 0], seed=0, paired=True) == 2 / 8
    assert permutation_test([1, -1], [0, 0], seed=0, paired=True) == 1.0
    assert permutation_test([3, 3], [3, 3], seed=0, paired=True) == 1.0


def test_the_exact_unpaired_test_by_hand() -> None:
    """Of 252 ways to divide ten runs, only two separate them; of 70 ways, four are as far apart as 9, 8, 7 and 5."""
    x = np.arange(5.0)
    assert permutation_test(x, x + 10.0, seed=0, paired=False) == 2 / 252
    assert permutation_test([1, 2, 6, 3], [5, 7, 9, 8], seed=0, paired=False) == 4 / 70
    assert permutation_test([1, 1, 1, 1], [5, 5, 5], seed=0, paired=False) == 1 / 35
    assert permutation_test([0.1] * 3, [0.1] * 4, seed=0, paired=False) == 1.0


def test_the_statistic_is_welchs_t() -> None:
    """By a loop over the ten divisions of five runs into two and three."""
    pooled = np.array([0.0, 4.0, 5.0, 6.0, 7.0])
    chosen = [(i, j) for i in range(5) for j in range(i + 1, 5)]

    def t(pair: tuple[int, int]) -> float:
        a, b = pooled[list(pair)], np.delete(pooled, pair)
        return float(abs(a.mean() - b.mean()) / math.sqrt(a.var(ddof=1) / 2 + b.var(ddof=1) / 3))

    expected = sum(t(pair) >= t((0, 1)) - 1e-9 for pair in chosen) / 10
    assert permutation_test(pooled[:2], pooled[2:], seed=0, paired=False) == expected


def test_every_arrangement_of_twelve_pairs_or_two_groups_of_seven_is_tried() -> None:
    """Then the seed does not matter; it does for one more."""
    x = np.random.default_rng(1).normal(0.5, 1.0, (2, 13))
    x[1] -= 0.5

    def p(n: int, seed: int, *, paired: bool) -> float:
        return permutation_test(x[0, :n], x[1, :n], seed, paired=paired, resamples=RESAMPLES)

    assert p(12, 0, paired=True) == p(12, 1, paired=True)
    assert p(7, 0, paired=False) == p(7, 1, paired=False)
    assert len({p(13, seed, paired=True) for seed in range(5)}) > 1
    assert len({p(8, seed, paired=False) for seed in range(5)}) > 1


@pytest.mark.parametrize("paired", [True, False])
def test_p_is_the_larger_one_of_two(*, paired: bool) -> None:
    rng = np.random.default_rng(2)
    larger = set()
    for _ in range(40):
        x, y = rng.normal(size=6) + 1.0, rng.normal(size=6)
        both = Mean.of_difference(x, y, paired=paired).p, permutation_test(x, y, seed=0, paired=paired)
        assert p_of_equal_means(x, y, seed=0, paired=paired) == max(both)
        larger.add(both[0] > both[1])
    assert larger == {True, False}


def test_what_is_no_number_has_no_p_value() -> None:
    for paired in (True, False):
        for bad in (math.nan, math.inf):
            with pytest.raises(ValueError, match="not a finite number"):
                permutation_test([1.0, bad, 3.0], [1.0, 2.0, 3.0], seed=0, paired=paired)
            with pytest.raises(ValueError, match="not a finite number"):
                permutation_test([1.0, 2.0, 3.0], [1.0, bad, 3.0], seed=0, paired=paired)


def test_numbers_that_differ_by_rounding_only_are_equal() -> None:
    x, y = np.full(8, 0.1 + 0.2), np.full(8, 0.3)
    for paired in (True, False):
        assert permutation_test(x, y, seed=0, paired=paired) == 1.0


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("n", [8, 20])
def test_a_test_errs_as_often_as_it_says(n: int, *, paired: bool) -> None:
    rng = np.random.default_rng(4)
    rejected = sum(
        permutation_test(rng.normal(size=n), rng.normal(size=n), seed=trial, paired=paired, resamples=RESAMPLES) <= 0.05
        for trial in range(400)
    )
    assert 0.02 <= rejected / 400 <= 0.085


@pytest.mark.parametrize(("n", "spreads"), [((10, 3), (1, 5)), ((10, 3), (5, 1)), ((8, 8), (1, 5)), ((5, 5), (1, 5))])
def test_unequal_spreads_declare_few_wrong_winners(n: tuple[int, int], spreads: tuple[float, float]) -> None:
    """In the first case, a permutation test of the difference of means declares one in 24%, one of Welch's t in 15%."""
    rng = np.random.default_rng(5)
    draws = [(spreads[0] * rng.normal(size=n[0]), spreads[1] * rng.normal(size=n[1])) for _ in range(600)]
    assert sum(decided(x, y, paired=False) for x, y in draws) / len(draws) <= 0.075


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("n", [6, 8, 10])
def test_collapses_that_were_seen_declare_few_wrong_winners(n: int, *, paired: bool) -> None:
    """One side collapses in a fifth of seeds, and the means are equal.

    Where no run of n collapsed, in 0.8^n of all studies, its scores are those of a better side: no test can know. Where
    one did, a winner is declared no more often than at random.
    """
    rng = np.random.default_rng(6)
    wrong, unseen, n_studies = 0, 0, 600
    for _ in range(n_studies):
        x, y = collapsing(rng, n), 80.0 + 5.0 * rng.normal(size=n)
        is_unseen = bool(x.min() > 50.0)
        unseen += is_unseen
        wrong += decided(x, y, paired=paired) and not is_unseen
    assert unseen / n_studies == pytest.approx(0.8**n, abs=0.05)
    assert wrong / (n_studies - unseen) <= 0.05


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


# Numbers of seeds


def test_from_how_many_seeds_on_a_permutation_can_tell() -> None:
    """2 of 2^6 sign patterns are below 0.05, 2 of 2^5 are not; of two groups, 2 of the 70 ways to divide 4 and 4."""
    assert (fewest_seeds(0.05, paired=True), fewest_seeds(0.05, paired=False)) == (6, 4)


SPREAD = np.array([-1.0, 0.0, 1.0])
"""Three numbers with mean 0 and deviation 1."""


def needed(distance: float, *, paired: bool, n_comparisons: int = 1) -> int:
    other = np.zeros(3) if paired else SPREAD
    found = seeds_needed(SPREAD + distance, other, paired=paired, n_comparisons=n_comparisons)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("distance", "paired", "expected"),
    [(0.2, True, 199), (0.5, True, 34), (0.2, False, 394), (0.5, False, 64), (0.8, False, 26)],
)
def test_how_many_seeds_would_tell(distance: float, paired: bool, expected: int) -> None:
    """The numbers in Cohen's tables (1988) for t tests at 5%, two-sided, with 80% power."""
    assert needed(distance, paired=paired) == pytest.approx(expected, abs=1)


def test_where_no_number_of_seeds_is_known() -> None:
    assert seeds_needed([1, 2, 4], [1, 2, 4], paired=True) is None
    assert seeds_needed([1, 2], [2, 4], paired=True) is None
    assert seeds_needed([1, 2, 3], [2, 3, 4], paired=True) == 6, "they differ by the same with each seed"


def test_numbers_of_seeds_that_nobody_would_train_are_only_large() -> None:
    for distance in (1e-2, 1e-9):
        for paired in (True, False):
            assert needed(distance, paired=paired) == MOST_SEEDS + 1


def smallest(n: int, *, paired: bool, n_comparisons: int = 1) -> float:
    """Return the smallest distance for which n seeds are advised, by bisection."""
    low, high = 0.1, 20.0
    for _ in range(20):
        middle = (low + high) / 2.0
        low, high = (middle, high) if needed(middle, paired=paired, n_comparisons=n_comparisons) > n else (low, middle)
    return high


@pytest.mark.parametrize(
    ("n", "paired"), [*((n, True) for n in (6, 7, 8, 10, 15, 30)), *((n, False) for n in (5, 6, 8, 15, 30))]
)
def test_the_advised_number_of_seeds_has_the_power_that_is_said(n: int, *, paired: bool) -> None:
    """At the smallest distance for which they are advised, the power is 80% and no more."""
    rng = np.random.default_rng(7)
    distance = smallest(n, paired=paired)
    found = [
        decided(rng.normal(size=n) + distance, np.zeros(n) if paired else rng.normal(size=n), paired=paired)
        for _ in range(500)
    ]
    assert sum(found) / len(found) == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("paired", [True, False])
def test_the_advised_number_of_seeds_has_its_power_among_several_comparisons(*, paired: bool) -> None:
    """Three comparisons, of which two are of equal means, corrected after Holm."""
    rng = np.random.default_rng(8)
    n, n_studies, found = 12, 300, 0
    distance = smallest(n, paired=paired, n_comparisons=3)
    for _ in range(n_studies):
        p = [
            p_of_equal_means(
                rng.normal(size=n) + shift,
                np.zeros(n) if paired else rng.normal(size=n),
                seed=0,
                paired=paired,
                resamples=RESAMPLES,
            )
            for shift in (distance, 0.0, 0.0)
        ]
        found += holm(p)[0] <= ERROR
    assert found / n_studies == pytest.approx(0.8, abs=0.05)
