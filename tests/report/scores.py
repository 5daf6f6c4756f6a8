"""Cells with given scores, as a report divides runs into them, for simulations without files."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from acexp.core.estimators import iqm
from acexp.report.cells import Cell, Grid
from acexp.report.inference import Floats, Mean, median
from acexp.report.scores import CellScores, Estimate

ENVIRONMENT = "Toy-v0"


def grid_of(factors: Mapping[str, Sequence[str]]) -> Grid:
    """Return a cell for each combination of levels."""
    combinations = itertools.product(*factors.values())
    cells = (Cell(ENVIRONMENT, dict(zip(factors, levels, strict=True)), ()) for levels in combinations)
    return Grid(tuple(cells), {factor: tuple(levels) for factor, levels in factors.items()}, ())


def scores_of(grid: Grid, values: Sequence[Floats]) -> list[CellScores]:
    """Return the scores of each cell, whose runs have the seeds 0, 1, ..."""
    return [
        CellScores(
            cell=cell,
            by_seed=dict(enumerate(np.asarray(x, np.float64).tolist())),
            mean=Estimate.of_mean(Mean.of(x)),
            median=Estimate(float(median(x)), None),
            iqm=Estimate(float(iqm(x)), None),
            area=None,
            reached=None,
            n_reached=0,
            n_curves=0,
            steps_per_second=None,
        )
        for cell, x in zip(grid, values, strict=True)
    ]
