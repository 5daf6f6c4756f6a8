"""Measure what docs/report.md promises: how often intervals cover, tests err, and advised numbers of seeds suffice.

    python benchmarks/coverage.py

Prints the tables of docs/report.md, in Markdown. All draws have fixed seeds; it takes about a minute.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from acexp.core.estimators import iqm
from acexp.core.markdown import grid
from acexp.report.inference import (
    ERROR,
    Floats,
    Interval,
    Mean,
    Statistic,
    bootstrap,
    holm,
    median,
    p_of_equal_means,
    seeds_needed,
)

STUDIES, RESAMPLES = 1000, 500
SIZES = (3, 5, 6, 8, 10, 20)
UNIT = NormalDist()
COLLAPSED, NOISE = 0.2, 5.0
"""The share of runs that collapse, from about 100 to about 0, and the deviation of all others."""


@dataclass(frozen=True, slots=True)
class Scores:
    """A distribution of scores, and the true values of its statistics."""

    name: str
    draw: Callable[[np.random.Generator, int], Floats]
    mean: float
    median: float
    iqm: float


def collapsing(rng: np.random.Generator, n: int) -> Floats:
    """Return scores of which a fifth are about 0 and the others about 100."""
    return 100.0 * (rng.random(n) >= COLLAPSED) + NOISE * rng.normal(size=n)


def _within_the_rest(quantile: float) -> float:
    """Return the quantile among the runs that did not collapse, in standard deviations."""
    return UNIT.inv_cdf((quantile - COLLAPSED) / (1.0 - COLLAPSED))


# The IQM is twice the integral of the quantiles from 1/4 to 3/4.
DISTRIBUTIONS = (
    Scores("normal", lambda rng, n: rng.normal(size=n), 0.0, 0.0, 0.0),
    Scores(
        "skewed",
        lambda rng, n: rng.exponential(size=n),
        1.0,
        math.log(2.0),
        1.0 - 1.5 * math.log(3.0) + 2.0 * math.log(2.0),
    ),
    Scores(
        "collapse",
        collapsing,
        100.0 * (1.0 - COLLAPSED),
        100.0 + NOISE * _within_the_rest(0.5),
        100.0 + 2.0 * (1.0 - COLLAPSED) * NOISE * (UNIT.pdf(_within_the_rest(0.25)) - UNIT.pdf(_within_the_rest(0.75))),
    ),
)


def is_decided(x: Floats, y: Floats, *, paired: bool) -> bool:
    """Whether a report of one comparison says that the means differ."""
    return p_of_equal_means(x, y, 0, paired=paired, resamples=RESAMPLES) <= ERROR


def covered(intervals: Sequence[Interval | None], true: float) -> str:
    """Return how many of the intervals hold the true value, as text."""
    known = [each for each in intervals if each is not None]
    return f"{sum(low <= true <= high for low, high in known) / len(known):.0%}" if known else "none"


def coverage() -> str:
    """Return a table of the coverage of each statistic's interval, by distribution and number of seeds."""
    rows = []
    for scores in DISTRIBUTIONS:
        rng = np.random.default_rng(0)
        studies = {n: [scores.draw(rng, n) for _ in range(STUDIES)] for n in SIZES}
        means = [covered([Mean.of(x).interval for x in studies[n]], scores.mean) for n in SIZES]
        rows.append(("mean", scores.name, *means))
        middles: tuple[tuple[str, Statistic, float], ...] = (
            ("IQM", iqm, scores.iqm),
            ("median", median, scores.median),
        )
        for name, statistic, true in middles:
            found = [covered([bootstrap([x], statistic, 0, RESAMPLES) for x in studies[n]], true) for n in SIZES]
            rows.append((name, scores.name, *found))
    return grid(("statistic", "scores", *(f"n = {n}" for n in SIZES)), rows)


def errors() -> str:
    """Return a table of how often a winner is declared where the means are equal."""
    rows = []
    cases = ((1.0, 1.0, 10, 10), (1.0, 5.0, 10, 10), (1.0, 5.0, 10, 3), (5.0, 1.0, 10, 3), (1.0, 5.0, 5, 5))
    for a, b, n_a, n_b in cases:
        rng = np.random.default_rng(1)
        wrong = sum(
            is_decided(a * rng.normal(size=n_a), b * rng.normal(size=n_b), paired=False) for _ in range(STUDIES)
        )
        rows.append((f"deviation {a:g} (n = {n_a}), {b:g} (n = {n_b}), unpaired", f"{wrong / STUDIES:.1%}", ""))
    for paired in (True, False):
        for n in (6, 8, 10, 14):
            rng = np.random.default_rng(2)
            wrong = seen = 0
            for _ in range(STUDIES):
                x, y = collapsing(rng, n), 100.0 * (1.0 - COLLAPSED) + NOISE * rng.normal(size=n)
                found = is_decided(x, y, paired=paired)
                wrong += found
                seen += found and bool(x.min() < 50.0)
            how = "paired" if paired else "unpaired"
            shares = (f"{wrong / STUDIES:.1%}", f"{seen / STUDIES:.1%}")
            rows.append((f"one side collapses in 20% (n = {n}), {how}", *shares))
    return grid(("equal means", "a winner is declared", "although a collapse was seen"), rows)


def powers() -> str:
    """Return a table of the power at the smallest distance for which n seeds are advised."""
    sizes = (5, 6, 7, 8, 10, 15, 30)
    rows = []
    for paired, n_comparisons in ((True, 1), (False, 1), (True, 3), (False, 3)):
        found = [_power(n, paired=paired, n_comparisons=n_comparisons) for n in sizes]
        rows.append(("paired" if paired else "unpaired", str(n_comparisons), *found))
    return grid(("seeds", "comparisons", *(f"n = {n}" for n in sizes)), rows)


def _power(n: int, *, paired: bool, n_comparisons: int) -> str:
    spread = np.array([-1.0, 0.0, 1.0])

    def needed(distance: float) -> int:
        other = np.zeros(3) if paired else spread
        return seeds_needed(spread + distance, other, paired=paired, n_comparisons=n_comparisons) or 0

    low, high = 0.1, 20.0
    for _ in range(25):
        middle = (low + high) / 2.0
        low, high = (middle, high) if needed(middle) > n else (low, middle)
    if needed(high) != n:
        return "never"
    rng = np.random.default_rng(n)
    found = 0
    for _ in range(STUDIES):
        shifts = [high, *[0.0] * (n_comparisons - 1)]
        xs = [rng.normal(size=n) + shift for shift in shifts]
        ys = [np.zeros(n) if paired else rng.normal(size=n) for _ in shifts]
        p = [p_of_equal_means(x, y, 0, paired=paired, resamples=RESAMPLES) for x, y in zip(xs, ys, strict=True)]
        found += holm(p)[0] <= ERROR and xs[0].mean() > ys[0].mean()
    return f"{found / STUDIES:.0%}"


def main() -> None:
    """Print all tables."""
    for table in (coverage, errors, powers):
        print(table(), end="\n\n", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
