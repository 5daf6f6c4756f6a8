"""Statistics for few seeds: intervals, comparisons and tests in float64 NumPy, with seeds and without state.

Means have Student's t intervals. Every random draw comes from a generator with the caller's seed, so that the same
numbers give the same report. docs/report.md has the coverage, the errors and the power that simulations of these
functions found; benchmarks/coverage.py repeats them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from acexp.report.student_t import power, quantile, tail

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
"""A function that reduces the last axis: `[..., n]` -> `[...]`."""

RESAMPLES = 4000
ERROR = 0.05
"""The probability with which an interval misses the true value, or a test finds a difference where there is none."""

FEWEST_FOR_MEANS = 3
"""The fewest seeds that give a mean an interval: of two, it would be more than ten times as wide as their distance."""

FEWEST_FOR_RESAMPLING = 5
"""The fewest seeds whose resamples show the spread of an IQM or a median."""

MOST_ARRANGEMENTS = 4096
"""The number of arrangements up to which a permutation test tries each: those of 12 pairs, or of two groups of 7."""

POWER = 0.8
"""The probability that the number of seeds that `seeds_needed` returns shows the difference."""

MOST_SEEDS = 1000
"""The largest number of seeds that is named; a difference that needs more counts as too small to settle."""

_ROUNDING = 1e-12
"""The relative difference up to which two numbers are equal: sums in another order differ in the last bits."""


class Interval(NamedTuple):
    """The range that holds the true value of a statistic in 95% of studies."""

    low: float
    high: float


def mean(x: Floats) -> Floats:
    """Return the mean over the last axis."""
    found: Floats = np.mean(x, axis=-1)
    return found


def median(x: Floats) -> Floats:
    """Return the median over the last axis."""
    found: Floats = np.median(x, axis=-1)
    return found


class Mean(NamedTuple):
    """A mean over seeds, or a sum of such means: its value, its variance, and the degrees of freedom of that.

    The variance is not a number if it is unknown, because there are fewer than three seeds.
    """

    value: float
    variance: float
    df: float

    @staticmethod
    def of(x: ArrayLike) -> Mean:
        """Return the mean of at least one number."""
        values = np.asarray(x, np.float64)
        n = len(values)
        if np.ptp(values) == 0.0:  # a mean of equal numbers could differ from them in the last bit
            return Mean(float(values[0]), 0.0 if n >= FEWEST_FOR_MEANS else math.nan, n - 1)
        return Mean(float(values.mean()), float(values.var(ddof=1)) / n if n >= FEWEST_FOR_MEANS else math.nan, n - 1)

    @staticmethod
    def sum(means: Sequence[Mean], weights: Sequence[float]) -> Mean:
        """Return a weighted sum of independent means, with the degrees of freedom of Welch and Satterthwaite."""
        counted = [(weight, each) for weight, each in zip(weights, means, strict=True) if weight]
        parts = [weight**2 * each.variance for weight, each in counted]
        variance = math.fsum(parts)
        value = math.fsum(weight * each.value for weight, each in counted)
        if not variance > 0.0:
            return Mean(value, variance, math.fsum(each.df for _, each in counted))
        shares = [(part / variance) ** 2 / each.df for part, (_, each) in zip(parts, counted, strict=True)]
        return Mean(value, variance, 1.0 / math.fsum(shares))

    @staticmethod
    def of_difference(x: ArrayLike, y: ArrayLike, *, paired: bool) -> Mean:
        """Return the mean of x minus that of y. With `paired`, they have the same seeds in the same order."""
        a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
        return Mean.of(a - b) if paired else Mean.sum([Mean.of(a), Mean.of(b)], [1.0, -1.0])

    @property
    def interval(self) -> Interval | None:
        """Student's t interval; None if the variance is unknown."""
        if math.isnan(self.variance):
            return None
        margin = quantile(ERROR / 2.0, self.df) * math.sqrt(self.variance)
        return Interval(self.value - margin, self.value + margin)

    @property
    def p(self) -> float:
        """The two-sided p-value of a true value of 0, by Student's t; 1 if the variance is unknown."""
        if math.isnan(self.variance) or self.value == 0.0:
            return 1.0
        return 2.0 * tail(abs(self.value) / math.sqrt(self.variance), self.df) if self.variance else 0.0


def band(x: ArrayLike) -> tuple[Floats, Floats] | None:
    """Return Student's t interval of the mean at each of K points, `[n, K] -> [K], [K]`; None for fewer than 3 runs."""
    values = np.asarray(x, np.float64)
    if len(values) < FEWEST_FOR_MEANS:
        return None
    middle = values.mean(0)
    margin = quantile(ERROR / 2.0, len(values) - 1.0) * values.std(0, ddof=1) / math.sqrt(len(values))
    return middle - margin, middle + margin


def bootstrap(
    strata: Sequence[ArrayLike], statistic: Statistic, seed: int, resamples: int = RESAMPLES
) -> Interval | None:
    """Return the interval of a statistic of all numbers together, by resampling each stratum.

    Percentiles of resamples are too narrow for few numbers. These are taken farther out, where Student's t and the
    divisor n - 1 would be instead of the normal distribution and n (Hesterberg, 2015: the expanded percentile
    interval). It is None if a stratum has fewer than five numbers.

    Args:
        strata: the numbers of each environment, or of the only one.
        statistic: the statistic of all numbers together.
        seed: the seed of the resampling.
        resamples: the number of resamples.
    """
    groups = [np.asarray(stratum, np.float64).reshape(-1) for stratum in strata]
    smallest = min(len(group) for group in groups)
    if smallest < FEWEST_FOR_RESAMPLING:
        return None
    rng = np.random.default_rng(seed)
    drawn = [group[rng.integers(0, len(group), (resamples, len(group)))] for group in groups]
    distance = quantile(ERROR / 2.0, float(sum(len(group) - 1 for group in groups)))
    outside = NormalDist().cdf(-distance * math.sqrt(smallest / (smallest - 1.0)))
    low, high = np.quantile(statistic(np.concatenate(drawn, axis=-1)), (outside, 1.0 - outside))
    return Interval(float(low), float(high))


def probability_of_improvement(x: ArrayLike, y: ArrayLike) -> float:
    """Return how often a run of x beats a run of y, ties counting half: Mann and Whitney's U over all pairs."""
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    difference = a[:, None] - b[None, :]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


def profile(x: ArrayLike, thresholds: ArrayLike) -> Floats:
    """Return the share of numbers above each threshold, `[K]`: a performance profile (Agarwal et al., 2021)."""
    found: Floats = (np.asarray(x, np.float64)[:, None] > np.asarray(thresholds, np.float64)).mean(0)
    return found


def p_of_equal_means(x: ArrayLike, y: ArrayLike, seed: int, *, paired: bool, resamples: int = RESAMPLES) -> float:
    """Return a two-sided p-value of equal means: the larger one of the permutation test's and of Student's t.

    The first is too small where few runs of one side spread more than many of the other, and the second where a handful
    of runs happen to be alike: three of each could be certain. It is 1 if a side has fewer than three runs.
    """
    mean_of_difference = Mean.of_difference(x, y, paired=paired)
    if math.isnan(mean_of_difference.variance):
        return 1.0
    return max(mean_of_difference.p, permutation_test(x, y, seed, paired=paired, resamples=resamples))


def permutation_test(x: ArrayLike, y: ArrayLike, seed: int, *, paired: bool, resamples: int = RESAMPLES) -> float:
    """Return the two-sided p-value of equal means by permutation of a t statistic.

    For pairs, the signs of the differences are flipped. Otherwise runs, at least two on each side, change places, and
    the statistic is Welch's t. Every arrangement is tried if there are at most 4,096; otherwise p comes from
    `resamples` random ones and the observed one, so that it is never 0. Raises ValueError for a number that is not
    finite.
    """
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("a score is not a finite number")
    rng = np.random.default_rng(seed)
    t = _t_of_signs(a, b, rng, resamples) if paired else _t_of_labels(a, b, rng, resamples)
    if t is None:
        return 1.0
    # The observed arrangement is the first one. Another one that gives the same value may differ in the last bits.
    return float((t >= t[0] * (1.0 - 1e-9) - 1e-9).mean())


def _t_of_signs(a: Floats, b: Floats, rng: np.random.Generator, resamples: int) -> Floats | None:
    """Return a statistic of the differences as observed and with other signs; None if all of them are 0.

    It is the absolute sum, which has the order of |t|, because the sum of squares is the same whatever the signs.
    """
    difference = a - b
    size = np.abs(difference)
    size[size <= _ROUNDING * max(np.abs(a).max(), np.abs(b).max())] = 0.0
    if not size.any():
        return None
    n = len(difference)
    if 2**n <= MOST_ARRANGEMENTS:
        signs = _all_signs(n)
    else:
        signs = rng.choice((1.0, -1.0), (resamples + 1, n))
        signs[0] = 1.0
    found: Floats = np.abs(signs @ np.copysign(size, difference)) / size.sum()
    return found


def _t_of_labels(a: Floats, b: Floats, rng: np.random.Generator, resamples: int) -> Floats | None:
    """Return Welch's |t| as observed and with runs exchanged between both sides; None if all numbers are equal."""
    pooled, n = np.concatenate((a, b)), len(a)
    if np.ptp(pooled) <= _ROUNDING * np.abs(pooled).max():
        return None
    if math.comb(len(pooled), n) <= MOST_ARRANGEMENTS:
        chosen = _all_choices(n, len(pooled))
    else:
        chosen = (rng.random((resamples + 1, len(pooled))).argsort(axis=1) < n).astype(np.float64)
        chosen[0] = np.arange(len(pooled)) < n
    # Of centered numbers, the sums of both sides differ in their sign alone.
    centered = pooled - pooled.mean()
    total = float(centered @ centered)
    sums, squares = chosen @ centered, chosen @ centered**2
    variance = _variance_of_mean(sums, squares, n) + _variance_of_mean(sums, total - squares, len(b))
    variance[variance <= _ROUNDING * total] = 0.0
    with np.errstate(divide="ignore"):
        found: Floats = np.abs(sums) * (1.0 / n + 1.0 / len(b)) / np.sqrt(variance)
    return found


@lru_cache(maxsize=4)
def _all_signs(n: int) -> Floats:
    """Return every assignment of signs to n numbers, first the one without a minus: `[2^n, n]`."""
    return np.where((np.arange(2**n)[:, None] >> np.arange(n)) % 2, -1.0, 1.0)


@lru_cache(maxsize=4)
def _all_choices(n: int, total: int) -> Floats:
    """Return every choice of n from a total number, first that of the first n, as rows of ones among zeros."""
    at = np.array(list(itertools.combinations(range(total), n)))
    chosen = np.zeros((len(at), total))
    np.put_along_axis(chosen, at, 1.0, axis=1)
    return chosen


def _variance_of_mean(total: Floats, squares: Floats, n: int) -> Floats:
    """Return the variance of the mean of n numbers with this sum and this sum of squares."""
    found: Floats = (squares - total**2 / n) / ((n - 1) * n)
    return found


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values with Holm's correction for several comparisons, in the order given."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, p_values[i] * (len(p_values) - rank)))
        corrected[i] = largest
    return corrected


def seeds_needed(x: ArrayLike, y: ArrayLike, *, paired: bool, n_comparisons: int = 1) -> int | None:
    """Return how many seeds would show this difference of means, at 5% over all comparisons and with 80% power.

    It is the number for `p_of_equal_means` of normal scores that are as far apart and have the spread that was
    observed, from the noncentral t distribution. The observed difference is uncertain, and so is this number. A number
    above MOST_SEEDS says no more than that. It is None if the means are equal or there are fewer than three numbers.
    """
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    distance = abs(float(a.mean() - b.mean()))
    if distance == 0.0 or min(len(a), len(b)) < FEWEST_FOR_MEANS:
        return None
    variances = [float((a - b).var(ddof=1))] if paired else [float(a.var(ddof=1)), float(b.var(ddof=1))]
    error, spread = ERROR / n_comparisons, math.sqrt(sum(variances))
    n = fewest_seeds(error, paired=paired)
    if spread == 0.0:
        return n
    # Degrees of freedom for each seed but the first: 1 for pairs, up to 2 for two groups.
    weight = spread**4 / sum(variance**2 for variance in variances)
    quantiles = NormalDist().inv_cdf(1.0 - error / 2.0) + NormalDist().inv_cdf(POWER)
    # Fewer than for a normal distribution are never enough.
    for_normal = quantiles * spread / distance
    n = max(n, math.ceil(min(MOST_SEEDS + 1.0, for_normal * for_normal)))
    while n <= MOST_SEEDS:
        limit = _attained(error, n, paired=paired) / 2.0
        if power(math.sqrt(n) * distance / spread, (n - 1) * weight, limit) >= POWER:
            break
        n += 1
    return n


def _attained(error: float, n: int, *, paired: bool) -> float:
    """Return the error, at most `error`, of the t test that is about as powerful as the permutation test of n seeds.

    A permutation test has few p-values if n is small: it rejects the k most extreme of all arrangements. Half an
    arrangement less is a correction for continuity.
    """
    n_arrangements = _n_arrangements(n, paired=paired) // 2  # each with its mirror image
    if n_arrangements > MOST_ARRANGEMENTS:
        return error
    return (math.floor(error * n_arrangements) - 0.5) / n_arrangements


def fewest_seeds(error: float, *, paired: bool) -> int:
    """Return the fewest seeds with which the permutation test can give a p-value as small as `error`."""
    n = 2
    while 2.0 / _n_arrangements(n, paired=paired) > error:
        n += 1
    return n


def _n_arrangements(n: int, *, paired: bool) -> int:
    """Return the number of ways in which a permutation test can arrange n pairs, or two groups of n."""
    return int(2**n) if paired else math.comb(2 * n, n)
