"""The scores and comparisons of a study, from the score of each run, by the statistics that `acexp report` uses.

Nothing that is derived from scores is stored, so that pages cannot keep the numbers of earlier statistics.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from questions import STUDIES, Study

from acexp.metrics import Series
from acexp.metrics.tags import EPISODE_RETURN
from acexp.report.cells import ABSENT, Grid, baseline, divide
from acexp.report.comparisons import Comparison, compare
from acexp.report.curves import curves
from acexp.report.records import Evaluated, Record
from acexp.report.scores import EVALUATION, CellScores, metric, score_cell

DATA = Path(__file__).with_name("data")
EPISODES = 100
"""The number of episodes in which the final policy of each run was evaluated."""


def read(path: Path) -> pd.DataFrame:
    """Read a CSV file, in which words such as `none` stay words."""
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


def load(study: Study, table: str) -> pd.DataFrame:
    """Return a table of a study."""
    return read(DATA / study.name / f"{table}.csv")


def has(study: Study, table: str) -> bool:
    """Return True if a study has been run and has such a table."""
    return (DATA / study.name / f"{table}.csv").exists()


def with_data(question: str) -> list[Study]:
    """Return the studies of a question that have been run."""
    return [study for study in STUDIES.values() if study.question == question and has(study, "runs")]


def factors(runs: pd.DataFrame) -> list[str]:
    """Return the names of the settings that differ between runs, which are the columns before the seed."""
    return list(runs.columns[1 : runs.columns.get_loc("seed")])


@dataclass(frozen=True)
class Scored:
    """The runs of a study with one score each.

    Attributes:
        grid: the cells.
        verb: the verb that says what a cell with higher scores does to another.
        scores: the scores of each cell, in the grid's order.
    """

    grid: Grid
    verb: str
    scores: tuple[CellScores, ...]

    def compare(self, levels: str) -> list[Comparison]:
        """Return the comparisons of a report with the baseline `levels`."""
        return compare(self.scores, self.grid, baseline(levels, self.grid), self.verb)

    def __iter__(self) -> Iterator[CellScores]:
        return iter(self.scores)


def scored(study: Study, name: str = EVALUATION) -> Scored:
    """Return the scores of a study's runs; `name`: `evaluation`, `training` or `area`."""
    grid = divide(list(_records(study)))
    over_training = [curves(cell, EPISODE_RETURN) for cell in grid]
    scale = metric(name, grid, over_training)
    scores = (score_cell(cell, scale, curve, None) for cell, curve in zip(grid, over_training, strict=True))
    return Scored(grid, scale.verb, tuple(scores))


def _records(study: Study) -> Iterator[Record]:
    """Yield the runs of a study. The learning curve of each is a single point, which is its area."""
    runs = load(study, "runs")
    for i, row in runs.iterrows():
        levels = {factor: str(row[factor]) for factor in factors(runs)}
        yield Record(
            directory=Path(str(i)),
            environment=row["environment"],
            seed=int(row["seed"]),
            settings={factor: level for factor, level in levels.items() if level != ABSENT},
            status=row["status"],
            error=None,
            total_steps=int(row["steps"]),
            steps=int(row["steps"]),
            evaluated=Evaluated(float(row["evaluation"]), EPISODES, study.deterministic, {}),
            training_return=float(row["training"]),
            steps_per_second=None,
            series={EPISODE_RETURN: Series(np.array([float(row["steps"])]), np.array([float(row["area"])]))},
            versions={},
            command="",
        )
