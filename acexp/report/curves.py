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

    def band(self, seed: int) -> tuple[Floats, Floats] | None:
        """Return the 95% interval of the mean at each step, `[K]` and `[K]`; None for fewer than two runs."""
        return band(self.values, seed) if len(self.values) > 1 else None


def return_tag(grid: Grid) -> str:
    """Return the tag of learning curves: evaluations if every run had enough in training, else training episodes."""
    done = [record for cell in grid for record in cell.done]
    is_evaluated = done and all(
        len(record.series.get(tags.EVALUATED_RETURN, NOTHING).steps) >= FEWEST_EVALUATIONS for record in done
    )
    return tags.EVALUATED_RETURN if is_evaluated else tags.EPISODE_RETURN


def curves(cell: Cell, tag: str) -> Curves:
    """Return the curves of those runs of a cell that are done and have logged the tag."""
    records = [record for record in cell.done if len(record.series.get(tag, NOTHING).steps)]
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

    The way leads from the lowest return that the curve of a cell begins with to the highest one that a curve ends with.
    """
    found = {}
    for environment in grid.environments:
        mine = [each for each, cell in zip(of_cell, grid, strict=True) if cell.environment == environment]
        known = [curve.mean for curve in mine if len(curve.values)]
        if known:
            lowest, highest = min(mean[0] for mean in known), max(mean[-1] for mean in known)
            found[environment] = float(lowest + 0.9 * (highest - lowest)) if requested is None else requested
    return found


def profile_range(values: Sequence[Floats], n: int = 101) -> Floats:
    """Return `n` scores from the lowest to the highest, at which performance profiles are compared."""
    together = np.concatenate([*values]) if values else np.zeros(1)
    return np.linspace(float(together.min()), float(together.max()), n)
