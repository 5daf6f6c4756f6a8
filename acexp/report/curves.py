"""Tags over training, brought to common steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from acexp.metrics import tags
from acexp.report.cells import Cell, Grid
from acexp.report.inference import band
from acexp.report.records import NOTHING, Floats, Record

MOST_STRETCHES = 100
FEWEST_EVALUATIONS = 5
"""In training, for curves to be made of them."""


@dataclass(frozen=True, slots=True)
class Curves:
    """Some runs' values of a tag, averaged over stretches of training.

    Attributes:
        steps: env steps at which each stretch ends, `[K]`.
        values: `[n, K]`, by seed.
        seeds: `[n]`.
    """

    steps: Floats
    values: Floats
    seeds: tuple[int, ...]

    @property
    def mean(self) -> Floats:
        """Over runs, `[K]`."""
        found: Floats = self.values.mean(0)
        return found

    def band(self, seed: int) -> tuple[Floats, Floats] | None:
        """The interval of the mean at each step; None for fewer than two runs."""
        return band(self.values, seed) if len(self.values) > 1 else None


def return_tag(grid: Grid) -> str:
    """What learning curves show: evaluations, if every run had some while it trained, else training episodes."""
    done = [record for cell in grid for record in cell.done]
    is_evaluated = done and all(
        len(record.series.get(tags.EVALUATED_RETURN, NOTHING).steps) >= FEWEST_EVALUATIONS for record in done
    )
    return tags.EVALUATED_RETURN if is_evaluated else tags.EPISODE_RETURN


def curves(cell: Cell, tag: str) -> Curves:
    """Of the runs of a cell that count and know the tag."""
    records = [record for record in cell.done if len(record.series.get(tag, NOTHING).steps)]
    if not records:
        return Curves(np.zeros(0), np.zeros((0, 0)), ())
    n = min([MOST_STRETCHES, *(len(record.series[tag].steps) for record in records)])
    ends = np.linspace(0.0, max(record.steps for record in records), n + 1)[1:]
    return Curves(
        steps=ends,
        values=np.stack([_averaged(record, tag, ends) for record in records]),
        seeds=tuple(record.seed for record in records),
    )


def _averaged(record: Record, tag: str, ends: Floats) -> Floats:
    """A run's means over stretches; those without a value take what lies between their neighbours."""
    series = record.series[tag]
    at = np.minimum(np.searchsorted(ends, series.steps), len(ends) - 1)
    counts = np.bincount(at, minlength=len(ends))
    sums = np.bincount(at, weights=series.values, minlength=len(ends))
    known = np.flatnonzero(counts)
    found: Floats = np.interp(np.arange(len(ends)), known, sums[known] / counts[known])
    return found


def thresholds(grid: Grid, of_cell: Sequence[Curves], asked: float | None) -> dict[str, float]:
    """By environment, the return that counts as having learned: what was asked for, or most of the way to the best.

    Most of the way: 90% from where the lowest cell's curve begins to where the highest one's ends.
    """
    found = {}
    for environment in grid.environments:
        mine = [each for each, cell in zip(of_cell, grid, strict=True) if cell.environment == environment]
        known = [curve.mean for curve in mine if len(curve.values)]
        if known:
            lowest, highest = min(mean[0] for mean in known), max(mean[-1] for mean in known)
            found[environment] = float(lowest + 0.9 * (highest - lowest)) if asked is None else asked
    return found


def profile_range(values: Sequence[Floats], n: int = 101) -> Floats:
    """The scores from the lowest to the highest, at which profiles are compared."""
    together = np.concatenate([*values]) if values else np.zeros(1)
    return np.linspace(float(together.min()), float(together.max()), n)
