"""Scores: the result of a run as one number, and the statistics of a cell with their intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from acexp.core.errors import UserError
from acexp.core.estimators import iqm
from acexp.core.numbers import number
from acexp.metrics import tags
from acexp.report.cells import Cell, Grid
from acexp.report.curves import Curves
from acexp.report.inference import Interval, Mean, Statistic, bootstrap, median
from acexp.report.records import Evaluated, Floats, Record, last_value

SEED = 0
"""The seed of every resampling, so that the same runs give the same report."""

EVALUATION, TRAINING, AREA, BEST = "evaluation", "training", "area", "best"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A statistic and its 95% interval, which is None if there are too few seeds for one."""

    value: float
    interval: Interval | None

    @staticmethod
    def of_mean(mean: Mean) -> Estimate:
        """Return a mean over seeds, or a sum of several, with its interval."""
        return Estimate(mean.value, mean.interval)

    @staticmethod
    def of_strata(strata: Sequence[Floats], statistic: Statistic) -> Estimate:
        """Return a statistic of all numbers together, with the interval from resampling each stratum."""
        return Estimate(float(statistic(np.concatenate(strata))), bootstrap(strata, statistic, SEED))


@dataclass(frozen=True, slots=True)
class Metric:
    """How runs are scored.

    Attributes:
        description: the description that the report shows.
        score: the function that returns a run's score, or None if it has none.
        verb: the verb that says what a run with a higher score does to another; higher is known to be better only for
            returns.
        axis: the description in a few words, for the axes of charts.
        note: what a reader must know of these scores, or why runs that were evaluated are scored in another way; may be
            empty.
        missing: why a run that is done may have no score.
    """

    description: str
    score: Callable[[Record], float | None]
    verb: str = "beats"
    axis: str = "score"
    note: str = ""
    missing: str = "no episode of it ended"

    @property
    def is_return(self) -> bool:
        """Whether a higher score is known to be better."""
        return self.verb == "beats"

    def scores(self, cell: Cell) -> dict[int, float]:
        """Return the scores of a cell's runs that are done, by seed."""
        found = {record.seed: self.score(record) for record in cell.done}
        return {seed: score for seed, score in found.items() if score is not None and math.isfinite(score)}


def metric(name: str | None, grid: Grid, over_training: Sequence[Curves]) -> Metric:
    """Return the metric called `name`: `evaluation`, `best`, `training`, `area`, or a tag, whose last value counts.

    `evaluation/info/<key>` is the mean of a number in the last infos of the final evaluation's episodes.
    Without a name, it is the final evaluation if every run has one, else the last training episodes. Raises UserError
    for a name that no run has logged.
    """
    done = [record for cell in grid for record in cell.done]
    note = ""
    if name is None:
        name = EVALUATION if done and all(record.evaluated for record in done) else TRAINING
        note = _why_training(done)
    if name == TRAINING:
        return Metric(
            "mean return of the last 100 training episodes",
            lambda record: record.training_return,
            axis="return, last 100 training episodes",
            note=note,
        )
    if name == EVALUATION:
        how = _how_evaluated([record.evaluated for record in done])
        return Metric(
            f"mean return of the final policy's evaluation ({how})",
            lambda record: record.evaluated.mean if record.evaluated else None,
            axis="return, final evaluation",
        )
    if name == BEST:
        return _best(done)
    if name == AREA:
        areas = _areas(grid, over_training)
        return Metric(
            "mean return over training", lambda record: areas.get(record.directory), axis="return, mean over training"
        )
    if name.startswith(f"{EVALUATION}/") and any(_evaluated_info(record, name) is not None for record in done):
        return Metric(
            f"mean of {name.partition('/')[2]} in the final policy's evaluation",
            lambda record: _evaluated_info(record, name),
            verb="is above",
            axis=name,
        )
    known = tuple(dict.fromkeys(tag for cell in grid for record in cell.records for tag in record.series))
    infos = tuple(dict.fromkeys(tag for record in done if record.evaluated for tag in record.evaluated.infos))
    if name not in known:
        raise UserError(
            "No run has such a metric.",
            key="--metric",
            value=name,
            choices=(EVALUATION, BEST, TRAINING, AREA, *(f"{EVALUATION}/{tag}" for tag in infos), *sorted(known)),
        )
    return Metric(f"the last value of {name}", lambda record: last_value(record, name), verb="is above", axis=name)


def _evaluated_info(record: Record, name: str) -> float | None:
    """Return what the final evaluation of a run has of `evaluation/info/<key>`; None if there is none."""
    return record.evaluated.infos.get(name.partition("/")[2]) if record.evaluated else None


def _how_evaluated(evaluations: Iterable[Evaluated | None]) -> str:
    """Return the numbers of episodes and the kinds of actions in words."""
    kinds = sorted({(each.n_episodes, each.is_deterministic) for each in evaluations if each})
    found = " and ".join(
        f"{n} episode{'' if n == 1 else 's'}, {'most likely' if is_deterministic else 'sampled'} actions"
        for n, is_deterministic in kinds
    )
    return found or "no run has been evaluated"


def _best(done: Sequence[Record]) -> Metric:
    """Return the metric of the best policies, played again; raise UserError if no run has kept its best one."""
    kept = [record.best for record in done if record.best]
    if not kept:
        raise UserError(
            "No run has kept its best policy.",
            key="--metric",
            value=BEST,
            choices=(EVALUATION, TRAINING, AREA),
            remedy="train with eval.keep_best=true and eval.every=...",
        )
    both = [(best.chosen_by, best.again.mean) for best in kept if best.again]
    note = (
        "Each run's best policy was chosen by its evaluations during training. Choosing makes scores too high, because "
        "the luckiest of many evaluations is taken, unless the policies are played again on other seeds. "
    )
    note += "They were." if len(both) == len(kept) else f"{len(both)} of {len(kept)} were."
    if both:
        chosen, again = (math.fsum(means) / len(both) for means in zip(*both, strict=True))
        note += f" When they were chosen, their mean was {number(chosen)}; played again, it is {number(again)}."
    return Metric(
        f"mean return of the best policy, played again ({_how_evaluated([best.again for best in kept])})",
        lambda record: record.best.again.mean if record.best and record.best.again else None,
        axis="return, best policy played again",
        note=note,
        missing="its best policy was not kept, or not played again (acexp eval --which best)",
    )


def _why_training(done: Sequence[Record]) -> str:
    """Return why runs that were evaluated, in training or some of them after it, are scored by training episodes."""
    n = sum(record.evaluated is not None for record in done)
    in_training = any(tags.EVALUATED_RETURN in record.series for record in done)
    if not n and not in_training:
        return ""
    remedy = "`acexp eval` on this directory evaluates all final policies"
    if n:
        return f"Not the evaluations, because only {n} of {len(done)} runs have one of their final policy: {remedy}."
    return (
        "Not the evaluations during training, because they have few episodes and need not be of the final "
        f"policy: {remedy}; `--metric {tags.EVALUATED_RETURN}` takes the last one during training."
    )


def _areas(grid: Grid, over_training: Sequence[Curves]) -> dict[Path, float]:
    found = {}
    for cell, curve in zip(grid, over_training, strict=True):
        by_seed = dict(zip(curve.seeds, curve.values, strict=True))
        found.update({r.directory: float(by_seed[r.seed].mean()) for r in cell.done if r.seed in by_seed})
    return found


@dataclass(frozen=True, slots=True)
class CellScores:
    """The results of a cell.

    Attributes:
        cell: the cell.
        by_seed: the scores of the runs that are done, by seed.
        mean, median, iqm: the statistics of the scores; None without any score.
        area: the area under the learning curve, which is the mean return over training.
        reached: the env steps that the median run needed to reach the threshold; None if it did not reach it.
        n_reached, n_curves: the number of runs that reached it, and the number of runs that have a curve.
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
        """The scores, in the order of `by_seed`."""
        return np.array(list(self.by_seed.values()), np.float64)


def score_cell(cell: Cell, metric: Metric, curves: Curves, threshold: float | None) -> CellScores:
    """Return the results of a cell; `curves` are those of the same runs."""
    by_seed = metric.scores(cell)
    values = np.array(list(by_seed.values()), np.float64)
    reached = [] if threshold is None else [_first_at(curves, row, threshold) for row in curves.values]
    middle = float(np.median(reached)) if reached else math.inf
    rates = [record.steps_per_second for record in cell.done if record.steps_per_second is not None]
    return CellScores(
        cell=cell,
        by_seed=by_seed,
        mean=_mean(values),
        median=Estimate.of_strata([values], median) if len(values) else None,
        iqm=Estimate.of_strata([values], iqm) if len(values) else None,
        area=_mean(curves.values.mean(1)) if curves.values.size else None,
        reached=middle if math.isfinite(middle) else None,
        n_reached=sum(math.isfinite(steps) for steps in reached),
        n_curves=len(curves.seeds),
        steps_per_second=float(np.median(rates)) if rates else None,
    )


def _mean(values: Floats) -> Estimate | None:
    return Estimate.of_mean(Mean.of(values)) if len(values) else None


def _first_at(curves: Curves, row: Floats, threshold: float) -> float:
    above = np.flatnonzero(row >= threshold)
    return float(curves.steps[above[0]]) if len(above) else math.inf


@dataclass(frozen=True, slots=True)
class PooledScores:
    """The normalized results of one experiment over all environments.

    Attributes:
        name: the name of the experiment.
        n: the number of runs.
        mean, median, iqm: the statistics of all normalized scores; intervals are of seeds within each environment.
    """

    name: str
    n: int
    mean: Estimate
    median: Estimate
    iqm: Estimate


def pool(cells: Sequence[CellScores], environments: Sequence[str]) -> list[PooledScores]:
    """Return the pooled scores of the experiments that have runs in every environment.

    Scores are normalized to 0 for an environment's worst run and 1 for its best. This scale depends on the runs in the
    report, so that the numbers can be compared only within it.
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
        n = sum(map(len, groups))
        mean = Mean.sum([Mean.of(group) for group in groups], [len(group) / n for group in groups])
        pooled.append(
            PooledScores(name, n, Estimate.of_mean(mean), *(Estimate.of_strata(groups, each) for each in (median, iqm)))
        )
    return pooled
