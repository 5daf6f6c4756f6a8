"""Main effects of factors, and interactions between two factors."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from acexp.report.cells import ABSENT, Baseline, Grid, Levels
from acexp.report.inference import Mean
from acexp.report.records import Floats
from acexp.report.scores import CellScores, Estimate

LARGEST_TABLE = 12
"""The number of levels of both factors together up to which an interaction is computed."""


@dataclass(frozen=True, slots=True)
class Effect:
    """The mean over all cells with a level, where every cell has the same weight, however many seeds it has.

    Attributes:
        environment: the id of the environment.
        factor, level: the factor and its level.
        mean: the mean of the cells' means; its interval is of seeds within each cell.
        n_cells: the number of cells with the level.
        reference: the level that it is compared with.
        difference: the difference of its mean from that of the reference; None for the reference itself.
    """

    environment: str
    factor: str
    level: str
    mean: Estimate
    n_cells: int
    reference: str
    difference: Estimate | None


@dataclass(frozen=True, slots=True)
class Interaction:
    """The combination of two levels of two factors.

    Attributes:
        environment: the id of the environment.
        factors, levels: the two factors and their levels.
        mean: the mean over all cells that have both levels.
        departure: the departure of the mean from the sum of both main effects; None unless all combinations have runs.
    """

    environment: str
    factors: tuple[str, str]
    levels: tuple[str, str]
    mean: Estimate
    departure: Estimate | None


class _Means:
    """The mean scores of an environment's cells, and their spread."""

    def __init__(self, scores: Sequence[CellScores]) -> None:
        known = [each for each in scores if len(each.values)]
        self.levels = [dict(each.cell.levels) for each in known]
        self._means = [Mean.of(each.values) for each in known]

    def with_levels(self, chosen: Levels) -> Floats:
        """Return the weights `[cells]` that average the cells with these levels; all zero if there is none."""
        weights = np.array([float(chosen.items() <= levels.items()) for levels in self.levels])
        return weights / weights.sum() if weights.any() else weights

    def estimate(self, weights: Floats) -> Estimate:
        """Return the weighted sum of the means, with its interval if all cells in it have enough seeds."""
        return Estimate.of_mean(Mean.sum(self._means, weights.tolist()))


def effects(scores: Sequence[CellScores], grid: Grid, baseline: Baseline) -> list[Effect]:
    """Return the effects of every factor, in environments with several, compared with the baseline or first level."""
    found = []
    for environment, factors in _factors(grid):
        means = _Means([each for each in scores if each.cell.environment == environment])
        for factor in factors:
            levels = [level for level in grid.factors[factor] if level != ABSENT]
            weights = {level: means.with_levels({factor: level}) for level in levels}
            known = {level: each for level, each in weights.items() if each.any()}
            requested = (baseline.levels or {}).get(factor)
            reference = requested if requested in known else next(iter(known), "")
            for level, each in known.items():
                difference = None if level == reference else means.estimate(each - known[reference])
                n_cells = int(np.count_nonzero(each))
                found.append(Effect(environment, factor, level, means.estimate(each), n_cells, reference, difference))
    return found


def interactions(scores: Sequence[CellScores], grid: Grid) -> list[Interaction]:
    """Return the interactions of every pair of factors that has at most LARGEST_TABLE levels."""
    found: list[Interaction] = []
    for environment, factors in _factors(grid):
        means = _Means([each for each in scores if each.cell.environment == environment])
        for pair in itertools.combinations(factors, 2):
            found += _interaction(means, environment, pair, grid)
    return found


def _interaction(means: _Means, environment: str, factors: tuple[str, str], grid: Grid) -> list[Interaction]:
    rows, columns = (
        [level for level in grid.factors[factor] if any(levels[factor] == level for levels in means.levels)]
        for factor in factors
    )
    if len(rows) + len(columns) > LARGEST_TABLE:
        return []
    weights = {(a, b): means.with_levels(dict(zip(factors, (a, b), strict=True))) for a in rows for b in columns}
    # Of a factor with one level that has scores, for instance while a sweep trains, nothing can depart.
    is_complete = min(len(rows), len(columns)) > 1 and all(each.any() for each in weights.values())
    found = []
    for (a, b), each in weights.items():
        if not each.any():
            continue
        row = np.mean([weights[a, other] for other in columns], axis=0)
        column = np.mean([weights[other, b] for other in rows], axis=0)
        everything = np.mean(list(weights.values()), axis=0)
        departure = means.estimate(each - row - column + everything) if is_complete else None
        found.append(Interaction(environment, factors, (a, b), means.estimate(each), departure))
    return found


def _factors(grid: Grid) -> list[tuple[str, list[str]]]:
    """Return each environment in which at least two factors vary, with these factors."""
    found = []
    for environment in grid.environments:
        cells = grid.of(environment)
        varying = [factor for factor in grid.factors if len({cell.levels[factor] for cell in cells}) > 1]
        if len(varying) > 1:
            found.append((environment, varying))
    return found
