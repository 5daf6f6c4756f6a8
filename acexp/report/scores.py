"""What a run reached, as one number; and the numbers of a cell, with their intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from acexp.core.errors import UserError
from acexp.core.estimators import iqm
from acexp.report.cells import Cell, Grid
from acexp.report.curves import Curves
from acexp.report.inference import Interval, bootstrap, mean, median
from acexp.report.records import Floats, Record, last_value

SEED = 0
"""Of every resampling: the same runs give the same report."""

EVALUATION, TRAINING, AREA = "evaluation", "training", "area"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number, and where it would be expected if the seeds were drawn again; None where one seed cannot tell."""

    value: float
    interval: Interval | None

    @staticmethod
    def of(value: float, interval: Interval) -> Estimate:
        """Without the interval where it is infinite."""
        return Estimate(value, interval if math.isfinite(interval.low) else None)


@dataclass(frozen=True, slots=True)
class Metric:
    """How runs are scored.

    Attributes:
        description: for who reads the report.
        score: of a run; None where it has none.
        verb: what a run with a higher score does to another. Only of returns it is known that higher is better.
    """

    description: str
    score: Callable[[Record], float | None]
    verb: str = "beats"

    def scores(self, cell: Cell) -> dict[int, float]:
        """Of the runs that count, by seed."""
        found = {record.seed: self.score(record) for record in cell.done}
        return {seed: score for seed, score in found.items() if score is not None and math.isfinite(score)}


def metric(name: str | None, grid: Grid, over_training: Sequence[Curves]) -> Metric:
    """The metric that was asked for: `evaluation`, `training`, `area`, or a tag, of which its last value counts.

    Without a name: the final evaluation if every run has one, else the last training episodes. Raises UserError for a
    name that no run knows.
    """
    done = [record for cell in grid for record in cell.done]
    if name is None:
        name = EVALUATION if done and all(record.evaluated for record in done) else TRAINING
    if name == TRAINING:
        return Metric("mean return of the last 100 training episodes", lambda record: record.training_return)
    if name == EVALUATION:
        kinds = sorted({(e.n_episodes, e.is_deterministic) for record in done if (e := record.evaluated)})
        told = " and ".join(f"{n} episodes, {'most likely' if kind else 'sampled'} actions" for n, kind in kinds)
        return Metric(
            f"mean return of the final policy's evaluation ({told or 'no run has been evaluated'})",
            lambda record: record.evaluated.mean if record.evaluated else None,
        )
    if name == AREA:
        areas = _areas(grid, over_training)
        return Metric("mean return over training", lambda record: areas.get(record.directory))
    known = tuple(dict.fromkeys(tag for cell in grid for record in cell.records for tag in record.series))
    if name not in known:
        raise UserError(
            "No run has such a metric.",
            key="--metric",
            value=name,
            choices=(EVALUATION, TRAINING, AREA, *sorted(known)),
        )
    return Metric(f"the last value of {name}", lambda record: last_value(record, name), verb="is above")


def _areas(grid: Grid, over_training: Sequence[Curves]) -> dict[Path, float]:
    found = {}
    for cell, curve in zip(grid, over_training, strict=True):
        by_seed = dict(zip(curve.seeds, curve.values, strict=True))
        found.update({r.directory: float(by_seed[r.seed].mean()) for r in cell.done if r.seed in by_seed})
    return found


@dataclass(frozen=True, slots=True)
class CellScores:
    """A cell's results.

    Attributes:
        cell: whose.
        by_seed: the scores of the runs that count.
        mean, median, iqm: of them; None without any.
        area: under the learning curve: the mean return over training.
        reached: env steps that the median run needed to reach the threshold; None where it did not.
        n_reached, n_curves: how many runs did, and how many have a curve.
        steps_per_second: the median over runs.
    """

    cell: Cell
    by_seed: Mapping[int, float]
    mean: Estimate | None
    median: Estimate | None
    iqm: Estimate | None
    area: Estimate | None
    reached: float | None
    n_reached: int
    n_curves: int
    steps_per_second: float | None

    @property
    def values(self) -> Floats:
        """The scores, by seed."""
        return np.array(list(self.by_seed.values()), np.float64)


def score_cell(cell: Cell, metric: Metric, curves: Curves, threshold: float | None) -> CellScores:
    """A cell's results; its curves are those of the same runs."""
    by_seed = metric.scores(cell)
    values = np.array(list(by_seed.values()), np.float64)
    reached = [] if threshold is None else [_first_at(curves, row, threshold) for row in curves.values]
    middle = float(np.median(reached)) if reached else math.inf
    rates = [record.steps_per_second for record in cell.done if record.steps_per_second is not None]
    return CellScores(
        cell=cell,
        by_seed=by_seed,
        mean=_estimate(values, mean),
        median=_estimate(values, median),
        iqm=_estimate(values, iqm),
        area=_estimate(curves.values.mean(1) if curves.values.size else np.zeros(0), mean),
        reached=middle if math.isfinite(middle) else None,
        n_reached=sum(math.isfinite(steps) for steps in reached),
        n_curves=len(curves.seeds),
        steps_per_second=float(np.median(rates)) if rates else None,
    )


def _estimate(values: Floats, statistic: Callable[[Floats], Floats]) -> Estimate | None:
    if not len(values):
        return None
    return Estimate.of(float(statistic(values)), bootstrap([values], statistic, SEED))


def _first_at(curves: Curves, row: Floats, threshold: float) -> float:
    above = np.flatnonzero(row >= threshold)
    return float(curves.steps[above[0]]) if len(above) else math.inf


@dataclass(frozen=True, slots=True)
class PooledScores:
    """One setting's results over all environments, normalized.

    Attributes:
        name: what sets it apart.
        n: runs.
        mean, median, iqm: of all runs' normalized scores, seeds drawn anew within each environment.
    """

    name: str
    n: int
    mean: Estimate
    median: Estimate
    iqm: Estimate


def pool(cells: Sequence[CellScores], environments: Sequence[str]) -> list[PooledScores]:
    """Settings that every environment has runs of; scores become 0 for an environment's worst run and 1 for its best.

    The scale is that of the runs at hand, so such numbers compare settings here and nothing beyond.
    """
    normalized: dict[str, dict[str, Floats]] = {}
    for environment in environments:
        mine = [scores for scores in cells if scores.cell.environment == environment and len(scores.values)]
        everything = np.concatenate([scores.values for scores in mine]) if mine else np.zeros(0)
        span = float(np.ptp(everything)) if len(everything) else 0.0
        for scores in mine:
            relative = (scores.values - everything.min()) / span if span else np.full(len(scores.values), 0.5)
            normalized.setdefault(scores.cell.name, {})[environment] = relative
    pooled = []
    for name, strata in normalized.items():
        if len(strata) < len(environments):
            continue
        groups = list(strata.values())
        together = np.concatenate(groups)
        estimates = [
            Estimate.of(float(statistic(together)), bootstrap(groups, statistic, SEED))
            for statistic in (mean, median, iqm)
        ]
        pooled.append(PooledScores(name, len(together), *estimates))
    return pooled
