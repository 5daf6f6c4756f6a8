"""Statistics for few seeds: intervals, comparisons and tests in float64 NumPy, with seeds and without state.

Every random draw comes from a generator with the caller's seed, so that the same numbers give the same report.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
"""A function that reduces the last axis: `[..., n]` -> `[...]`."""

RESAMPLES = 4000
LEVEL = 0.95
EXACT_UP_TO = 12
"""The number of pairs up to which the permutation test tries every assignment of signs: 4,096 for 12 pairs."""

POWER = 0.8
"""The probability that the number of seeds that `seeds_needed` returns shows the difference."""

_TAILS = ((1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0)


class Interval(NamedTuple):
    """The range in which a statistic would be expected if the seeds were drawn again."""

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


def bootstrap(strata: Sequence[ArrayLike], statistic: Statistic, seed: int, resamples: int = RESAMPLES) -> Interval:
    """Return the stratified percentile bootstrap interval (Agarwal et al., 2021): seeds are resampled in each stratum.

    Args:
        strata: the numbers of each environment, or of the only one.
        statistic: the statistic of all numbers together.
        seed: the seed of the resampling.
        resamples: the number of resamples.

    If every stratum has a single number, the spread is unknown and the interval is infinite.
    """
    groups = [np.asarray(stratum, np.float64).reshape(-1) for stratum in strata]
    if max(len(group) for group in groups) < 2:
        return Interval(-math.inf, math.inf)
    rng = np.random.default_rng(seed)
    drawn = [group[rng.integers(0, len(group), (resamples, len(group)))] for group in groups]
    return interval(statistic(np.concatenate(drawn, axis=-1)))


def resampled_means(x: ArrayLike, seed: int, resamples: int = RESAMPLES) -> Floats:
    """Return means of resampled seeds, for sums and differences of several experiments: `[n, ...] -> [R, ...]`."""
    values = np.asarray(x, np.float64)
    drawn = np.random.default_rng(seed).multinomial(len(values), np.full(len(values), 1 / len(values)), resamples)
    found: Floats = np.tensordot(drawn / len(values), values, axes=1)
    return found


def interval(resampled: Floats) -> Interval:
    """Return the percentiles that contain 95% of the resampled values."""
    low, high = np.quantile(resampled, _TAILS)
    return Interval(float(low), float(high))


def band(x: ArrayLike, seed: int, resamples: int = 1000) -> tuple[Floats, Floats]:
    """Return the interval of the mean at each of K points, `[n, K] -> [K], [K]`; resamples whole runs, at least 2."""
    low, high = np.quantile(resampled_means(x, seed, resamples), _TAILS, axis=0)
    return low, high


def bootstrap_difference(
    x: ArrayLike, y: ArrayLike, statistic: Statistic, seed: int, *, paired: bool, resamples: int = RESAMPLES
) -> Interval:
    """Return the bootstrap interval of `statistic(x) - statistic(y)`.

    With `paired`, x and y have the same seeds in the same order.
    """
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if len(a) < 2 or len(b) < 2:
        return Interval(-math.inf, math.inf)
    rng = np.random.default_rng(seed)
    at_a = rng.integers(0, len(a), (resamples, len(a)))
    at_b = at_a if paired else rng.integers(0, len(b), (resamples, len(b)))
    return interval(statistic(a[at_a]) - statistic(b[at_b]))


def probability_of_improvement(x: ArrayLike, y: ArrayLike) -> float:
    """Return how often a run of x beats a run of y, ties counting half: Mann and Whitney's U over all pairs."""
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    difference = a[:, None] - b[None, :]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


def profile(x: ArrayLike, thresholds: ArrayLike) -> Floats:
    """Return the share of numbers above each threshold, `[K]`: a performance profile (Agarwal et al., 2021)."""
    found: Floats = (np.asarray(x, np.float64)[:, None] > np.asarray(thresholds, np.float64)).mean(0)
    return found


def permutation_test(x: ArrayLike, y: ArrayLike, seed: int, *, paired: bool, resamples: int = RESAMPLES) -> float:
    """Return the two-sided p-value of equal means, by flipping signs of paired differences or by shuffling labels.

    It is exact for up to 12 pairs; otherwise it comes from `resamples` draws and the observed one, so it is never 0.
    """
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    rng = np.random.default_rng(seed)
    # Sums of the same numbers in another order differ in the last bits.
    slack = 1e-12 * max(np.abs(a).max(), np.abs(b).max())
    if paired:
        difference = a - b
        observed = abs(difference.mean())
        if len(difference) <= EXACT_UP_TO:
            signs = np.array(list(itertools.product((1.0, -1.0), repeat=len(difference))))
            return float((np.abs((signs * difference).mean(-1)) >= observed - slack).mean())
        found = (rng.choice((1.0, -1.0), (resamples, len(difference))) * difference).mean(-1)
    else:
        pooled = np.concatenate((a, b))
        observed = abs(a.mean() - b.mean())
        shuffled = rng.permuted(np.tile(pooled, (resamples, 1)), axis=-1)
        found = shuffled[:, : len(a)].mean(-1) - shuffled[:, len(a) :].mean(-1)
    return float((1 + (np.abs(found) >= observed - slack).sum()) / (resamples + 1))


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

    This is a rough number: the normal approximation with the observed spread, and no fewer seeds than the permutation
    test needs for significance. It is None if the means are equal or a spread is unknown.
    """
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    distance = abs(float(a.mean() - b.mean()))
    if distance == 0.0 or len(a) < 2 or len(b) < 2:
        return None
    variance = (a - b).var(ddof=1) if paired else a.var(ddof=1) + b.var(ddof=1)
    error = (1.0 - LEVEL) / n_comparisons
    quantiles = NormalDist().inv_cdf(1.0 - error / 2.0) + NormalDist().inv_cdf(POWER)
    return max(fewest_seeds(error, paired=paired), math.ceil(quantiles**2 * float(variance) / distance**2))


def fewest_seeds(error: float, *, paired: bool) -> int:
    """Return the fewest seeds with which the permutation test can give a p-value as small as `error`."""
    n = 2
    while 2.0 / (2**n if paired else math.comb(2 * n, n)) > error:
        n += 1
    return n
