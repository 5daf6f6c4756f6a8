"""Curves of tags over training, averaged over intervals that all runs of a cell have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from acexp.metrics import tags
from acexp.report.cells import Cell, Grid
from acexp.report.inference import band
from acexp.report.records import NOTHING, Floats, Record

MOST_INTERVALS = 100
FEWEST_EVALUATIONS = 5
"""The fewest evaluations during training that learning curves are made of."""


@dataclass(frozen=True, slots=True)
class Curves:
    """The values of a tag in several runs, averaged over intervals of training.

    Attributes:
        steps: the env steps at which the intervals end, float64 `[K]`.
        values: the mean of each run in each interval, float64 `[n, K]`, in the order of `seeds`.
        seeds: the seed of each run, `[n]`.
    """

    steps: Floats
    values: Floats
    seeds: tuple[int, ...]

    @property
    def mean(self) -> Floats:
        """The mean over runs at each step, `[K]`."""
        found: Floats = self.values.mean(0)
        return found

    @property
    def band(self) -> tuple[Floats, Floats] | None:
        """The 95% interval of the mean at each step, `[K]` and `[K]`; None for fewer than three runs."""
        return band(self.values)


def return_tag(grid: Grid) -> str:
    """Return the tag of learning curves: evaluations if every run had enough in training, else training episodes."""
    done = [record for cell in grid for record in cell.done]
    is_evaluated = done and all(
        len(record.series.get(tags.EVALUATED_RETURN, NOTHING).steps) >= FEWEST_EVALUATIONS for record in done
    )
    return tags.EVALUATED_RETURN if is_evaluated else tags.EPISODE_RETURN


def curves(cell: Cell, tag: str) -> Curves:
    """Return the curves of those runs of a cell that are done and have logged the tag."""
    return _curves(cell.done, tag)


def in_training(cell: Cell, tag: str) -> tuple[Curves, ...]:
    """Return a curve for each run of a cell that is being trained and has logged the tag, up to where it is now."""
    each = (_curves([record], tag) for record in cell.records if record.is_training)
    return tuple(curve for curve in each if len(curve.seeds))


def _curves(runs: Sequence[Record], tag: str) -> Curves:
    records = [record for record in runs if len(record.series.get(tag, NOTHING).steps)]
    if not records:
        return Curves(np.zeros(0), np.zeros((0, 0)), ())
    n = min([MOST_INTERVALS, *(len(record.series[tag].steps) for record in records)])
    ends = np.linspace(0.0, max(record.steps for record in records), n + 1)[1:]
    return Curves(
        steps=ends,
        values=np.stack([_averaged(record, tag, ends) for record in records]),
        seeds=tuple(record.seed for record in records),
    )


def _averaged(record: Record, tag: str, ends: Floats) -> Floats:
    """Return the means of a run over intervals; those without a value are interpolated from their neighbours."""
    series = record.series[tag]
    at = np.minimum(np.searchsorted(ends, series.steps), len(ends) - 1)
    counts = np.bincount(at, minlength=len(ends))
    sums = np.bincount(at, weights=series.values, minlength=len(ends))
    known = np.flatnonzero(counts)
    found: Floats = np.interp(np.arange(len(ends)), known, sums[known] / counts[known])
    return found


def thresholds(grid: Grid, of_cell: Sequence[Curves], requested: float | None) -> dict[str, float]:
    """Return, by environment, the return that counts as having learned: `requested`, or 90% of the way to the best.

    The way leads from the return that the median run begins with to the highest one that the median run of a cell ends
    with. Medians, because a single run that begins or ends far from the others must not move the threshold.
    """
    found = {}
    for environment in grid.environments:
        mine = [each for each, cell in zip(of_cell, grid, strict=True) if cell.environment == environment]
        known = [curve.values for curve in mine if len(curve.values)]
        if known:
            start = float(np.median(np.concatenate([values[:, 0] for values in known])))
            best = max(float(np.median(values[:, -1])) for values in known)
            found[environment] = start + 0.9 * (best - start) if requested is None else requested
    return found


def profile_range(values: Sequence[Floats], n: int = 101) -> Floats:
    """Return `n` scores from the lowest to the highest, at which performance profiles are compared."""
    together = np.concatenate([*values]) if values else np.zeros(1)
    return np.linspace(float(together.min()), float(together.max()), n)


def usual_range(of_cell: Sequence[Floats], reach: float) -> tuple[float, float] | None:
    """Return the range of the values of runs, `[n, K]` for each cell, without outliers; None if there is no outlier.

    It always holds the middle half of the runs of every cell, and all runs that leave the range of these by at most
    `reach` times its width. So a cell that differs from all others is no outlier.
    """
    known = [values for values in of_cell if values.size]
    if not known:
        return None
    lows, highs = [values.min(1) for values in known], [values.max(1) for values in known]
    # Of three runs, the quartile is the middle one: an outlier among few must not move it.
    low = min(float(np.quantile(x, 0.25, method="higher")) for x in lows)
    high = max(float(np.quantile(x, 0.75, method="lower")) for x in highs)
    if low >= high:
        return None
    every_low, every_high, margin = np.concatenate(lows), np.concatenate(highs), reach * (high - low)
    found = (
        float(every_low[every_low >= low - margin].min()),
        float(every_high[every_high <= high + margin].max()),
    )
    return found if found != (every_low.min(), every_high.max()) else None
