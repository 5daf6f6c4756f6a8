"""A set of runs and all that is concluded from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from acexp.report.cells import Baseline, Grid, baseline, divide
from acexp.report.comparisons import Comparison, compare
from acexp.report.curves import Curves, curves, return_tag, thresholds
from acexp.report.effects import Effect, Interaction, effects, interactions
from acexp.report.gradients import Gradients, gradients
from acexp.report.records import Collection, Record, collect
from acexp.report.scores import CellScores, Metric, PooledScores, metric, pool, score_cell
from acexp.report.searches import SearchRecord, read_searches


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked of the runs.

    Attributes:
        baseline: `arch=shared` or the like; None for the first cell.
        metric: `evaluation`, `training`, `area` or a tag; None for the best that there is.
        threshold: the return that counts as having learned; None for one from the curves.
    """

    baseline: str | None = None
    metric: str | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Study:
    """Everything that a report says.

    Attributes:
        title: the directory's name.
        place: where it lies, as a command would say from the folder that its sweeps were started in.
        question: as asked.
        runs: what was read.
        grid: the cells.
        metric: by which runs are scored.
        baseline: what they are compared with.
        curve_tag: what learning curves show.
        thresholds: the return that counts as having learned, by environment.
        curves, scores, gradients: one for each cell, in the grid's order.
        pooled: settings over all environments; empty for one environment.
        comparisons: with the baseline.
        effects, interactions: of factors, where there are several.
        searches: what chose the cells, where that was no grid.
    """

    title: str
    place: str
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
    pooled: tuple[PooledScores, ...]
    comparisons: tuple[Comparison, ...]
    effects: tuple[Effect, ...]
    interactions: tuple[Interaction, ...]
    searches: tuple[SearchRecord, ...]

    @property
    def unfinished(self) -> list[Record]:
        """The runs that do not count."""
        return [record for cell in self.grid for record in cell.records if not record.is_done]

    @property
    def unscored(self) -> list[Record]:
        """Runs that ended as they should and have no score: no episode of theirs did."""
        return [record for scores in self.scores for record in scores.cell.done if record.seed not in scores.by_seed]


def study(directory: Path, question: Question) -> Study:
    """Read all runs in a directory and work them out.

    Raises UserError where there is none, and for a question that does not fit them.
    """
    runs = collect(directory)
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
        title=directory.name,
        place=_place(directory, runs),
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
        pooled=tuple(pool(scores, grid.environments)) if len(grid.environments) > 1 else (),
        comparisons=tuple(compare(scores, grid, chosen, scale.verb)),
        effects=tuple(effects(scores, grid, chosen)),
        interactions=tuple(interactions(scores, grid)),
        searches=read_searches(directory),
    )


def _place(directory: Path, runs: Collection) -> str:
    folders = {sweep.folder for sweep in runs.sweeps.values()}
    beginning = folders.pop() if len(folders) == 1 else directory.parent
    return str(directory.relative_to(beginning if directory.is_relative_to(beginning) else directory.parent))
