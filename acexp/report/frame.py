"""Runs as pandas tables, for notebooks and other programs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from acexp.core.errors import UserError
from acexp.report.cells import Cell, divide
from acexp.report.records import NOTHING, Record, collect
from acexp.system.packages import require_package

if TYPE_CHECKING:
    import pandas as pd


def read(directory: str | Path) -> pd.DataFrame:
    """Return a table with a row for every run in or below a directory, whether it is done or not.

    Columns: `environment`; one for each setting that differs between runs of an environment; `experiment`, which names
    the run without its seed; `seed`, `status`, `evaluation` (the mean return of `acexp eval`), `training` (that of the
    last 100 training episodes), `steps`, `steps_per_second` and `directory`. Missing values are NaN. Of runs that are
    equal, seed included, the table has one. A run that cannot be read is left out, with a warning.

    Raises UserError if there is no run, or if pandas is not installed.
    """
    require_package("pandas", "notebook", "Tables need")
    import pandas as pd

    runs = _runs(directory)
    rows = [
        {
            "environment": record.environment,
            **cell.levels,
            "experiment": cell.name,
            "seed": record.seed,
            "status": record.status,
            "evaluation": record.evaluated.mean if record.evaluated else None,
            "training": record.training_return,
            "steps": record.steps,
            "steps_per_second": record.steps_per_second,
            "directory": str(Path(directory) / record.directory),
        }
        for cell, record in runs
    ]
    table = pd.DataFrame(rows)
    numbers = ["evaluation", "training", "steps_per_second"]
    return _with_numbers(table.astype(dict.fromkeys(numbers, float)), runs)


def read_metrics(directory: str | Path, *tags: str) -> pd.DataFrame:
    """Return what the runs logged in training, with a row for each run and log step and a column for each tag.

    The other columns are `environment`, the settings that differ, `experiment`, `seed` and `step`. A value that a run
    does not have at a step is NaN. Raises UserError as `read` does, and for a tag that no run has.
    """
    require_package("pandas", "notebook", "Tables need")
    import pandas as pd

    runs = _runs(directory)
    known = dict.fromkeys(tag for _, record in runs for tag in record.series)
    for tag in tags:
        if tag not in known:
            raise UserError("No run has such a metric.", value=tag, choices=tuple(sorted(known)))
    parts = [
        pd.DataFrame(
            {
                tag: pd.Series(record.series.get(tag, NOTHING).values, record.series.get(tag, NOTHING).steps)
                for tag in tags
            }
        )
        .rename_axis("step")
        .reset_index()
        .assign(environment=record.environment, **cell.levels, experiment=cell.name, seed=record.seed)
        for cell, record in runs
    ]
    table = pd.concat(parts, ignore_index=True)
    first = [column for column in table.columns if column not in ("step", *tags)]
    return _with_numbers(table[[*first, "step", *tags]].astype({"step": int}), runs)


def _runs(directory: str | Path) -> list[tuple[Cell, Record]]:
    found = collect(Path(directory))
    for name, why in found.unreadable.items():
        warnings.warn(f"{name} cannot be read and is left out: {why}", stacklevel=3)
    return [(cell, record) for cell in divide(found.records) for record in cell.records]


def _with_numbers(table: pd.DataFrame, runs: Sequence[tuple[Cell, Record]]) -> pd.DataFrame:
    """Return the table with its numeric settings as numbers, so that they can be sorted and plotted."""
    for factor in runs[0][0].levels:
        try:
            table[factor] = table[factor].astype(float)
        except ValueError:
            continue
    return table
