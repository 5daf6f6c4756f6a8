"""A study: a set of runs and everything that is computed from it for the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from acexp.report.cells import Baseline, Grid, baseline, divide
from acexp.report.comparisons import Comparison, compare
from acexp.report.curves import Curves, curves, in_training, return_tag, thresholds
from acexp.report.effects import Effect, Interaction, effects, interactions
from acexp.report.gradients import Gradients, gradients
from acexp.report.records import Collection, Record, collect, common_folder
from acexp.report.scores import CellScores, Metric, PooledScores, metric, pool, score_cell
from acexp.report.searches import SearchRecord, read_searches


@dataclass(frozen=True, slots=True)
class Question:
    """The options of a report.

    Attributes:
        baseline: the levels to compare with, such as `arch=shared`; None for the first cell of each environment.
        metric: `evaluation`, `best`, `training`, `area` or a tag; None for `evaluation` if every run has one, else
            `training`.
        threshold: the return that counts as having learned; None for one that is derived from the curves.
    """

    baseline: str | None = None
    metric: str | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Study:
    """Everything that a report shows.

    Attributes:
        title: the names of the directories.
        places: the paths of the directories from the folder that their sweeps were started in.
        question: the options of the report.
        runs: the runs that were read.
        grid: the cells and their factors.
        metric: the metric that scores the runs.
        baseline: the levels that cells are compared with.
        curve_tag: the tag of the learning curves.
        thresholds: the return that counts as having learned, by environment.
        curves, scores, gradients: one for each cell, in the grid's order.
        in_training: for each cell, the curve of each run that is being trained; none of them counts in a figure.
        pooled: the scores of experiments over all environments; empty for one environment.
        comparisons: the comparisons of cells with the baseline.
        effects, interactions: those of factors, in environments where several vary.
        searches: the searches that chose the settings of runs; empty for sweeps over a grid.
    """

    title: str
    places: tuple[str, ...]
    question: Question
    runs: Collection
    grid: Grid
    metric: Metric
    baseline: Baseline
    curve_tag: str
    thresholds: dict[str, float]
    curves: tuple[Curves, ...]
    scores: tuple[CellScores, ...]
    gradients: tuple[Gradients, ...]
    in_training: tuple[tuple[Curves, ...], ...]
    pooled: tuple[PooledScores, ...]
    comparisons: tuple[Comparison, ...]
    effects: tuple[Effect, ...]
    interactions: tuple[Interaction, ...]
    searches: tuple[SearchRecord, ...]

    @property
    def unfinished(self) -> list[Record]:
        """The runs that are not done, which do not count in the results."""
        return [record for cell in self.grid for record in cell.records if not record.is_done]

    @property
    def is_over(self) -> bool:
        """Whether no run is being trained or waits for its beginning."""
        return not self.runs.n_unstarted and not any(record.is_training for record in self.unfinished)

    @property
    def unscored(self) -> list[Record]:
        """The runs that are done but have no score, for the reason `metric.missing`."""
        return [record for scores in self.scores for record in scores.cell.done if record.seed not in scores.by_seed]


def study(directory: Path, question: Question, others: Sequence[Path] = ()) -> Study:
    """Read all runs in a directory, and in others, and compute everything that the report shows.

    Raises UserError if one of them has no run, or if the question does not fit the runs.
    """
    directories = tuple(dict.fromkeys((directory, *others)))
    runs = collect(*directories)
    grid = divide(runs.records)
    chosen = baseline(question.baseline, grid)
    tag = return_tag(grid)
    over_training = [curves(cell, tag) for cell in grid]
    scale = metric(question.metric, grid, over_training)
    levels = thresholds(grid, over_training, question.threshold)
    scores = [
        score_cell(cell, scale, each, levels.get(cell.environment))
        for cell, each in zip(grid, over_training, strict=True)
    ]
    return Study(
        title=" + ".join(each.name for each in directories),
        places=_places(directories, runs),
        question=question,
        runs=runs,
        grid=grid,
        metric=scale,
        baseline=chosen,
        curve_tag=tag,
        thresholds=levels,
        curves=tuple(over_training),
        scores=tuple(scores),
        gradients=tuple(gradients(cell) for cell in grid),
        in_training=tuple(in_training(cell, tag) for cell in grid),
        pooled=tuple(pool(scores, grid.environments)) if len(grid.environments) > 1 else (),
        comparisons=tuple(compare(scores, grid, chosen, scale.verb)),
        effects=tuple(effects(scores, grid, chosen)),
        interactions=tuple(interactions(scores, grid)),
        searches=read_searches(*directories),
    )


def _places(directories: Sequence[Path], runs: Collection) -> tuple[str, ...]:
    folders = {command.folder for sweep in runs.sweeps.values() for command in sweep.commands}
    above = common_folder([each.parent for each in directories])
    beginning = folders.pop() if len(folders) == 1 else above
    is_below = all(each.is_relative_to(beginning) for each in directories)
    return tuple(str(each.relative_to(beginning if is_below else above)) for each in directories)
