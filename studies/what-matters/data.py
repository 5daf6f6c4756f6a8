"""The saved cells: a CSV file each, with a row for every seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import pandas as pd
from choices import Choice
from environments import Environment
from plan import Cell

DATA = Path(__file__).with_name("data")
CHANCE = DATA / "random.csv"
CELL = "cell"
"""The column with the identity of the run with the first seed: it is in each row, since that run may have failed."""
DIGITS = "%.6g"


def path_of(environment: Environment, choice: Choice, level: str) -> Path:
    """Return the file of a cell; the preset's is called `preset`."""
    name = ",".join([choice.name, *level.split()])
    return DATA / environment.name / f"{name}.csv"


def saved(cell: Cell) -> Path | None:
    """Return the file of a cell, which may be that of an equal cell of another choice; None if there is none yet.

    A file of earlier settings, of a preset that has changed since, is none of this cell.
    """
    return _by_cell(cell.environment).get(cell.first)


@cache
def _by_cell(environment: Environment) -> dict[str, Path]:
    """Return the files of an environment by the identities of their cells."""
    paths = sorted((DATA / environment.name).glob("*.csv"))
    return {str(pd.read_csv(path, nrows=1)[CELL].iloc[0]): path for path in paths}


def save(cell: Cell, rows: Sequence[Mapping[str, object]]) -> None:
    """Write the rows of a cell's runs to its file, beside those of other seeds."""
    if not rows:
        return
    path = saved(cell) or path_of(cell.environment, cell.choice, cell.level)
    path.parent.mkdir(parents=True, exist_ok=True)
    found = pd.DataFrame([{CELL: cell.first, **row} for row in rows])
    if saved(cell) is not None:
        found = pd.concat([table(path), found]).drop_duplicates("seed", keep="last").sort_values("seed")
    write(found, path)
    _by_cell.cache_clear()


def write(rows: pd.DataFrame, path: Path) -> None:
    """Write rows to a CSV file."""
    rows.to_csv(path, index=False, float_format=DIGITS, lineterminator="\n")


def missing(cell: Cell, seeds: Sequence[int]) -> tuple[int, ...]:
    """Return the seeds of a cell that have not been run yet."""
    path = saved(cell)
    known = () if path is None else read(path).index
    return tuple(seed for seed in seeds if seed not in known)


def read(path: Path) -> pd.DataFrame:
    """Return the runs of a cell, by seed."""
    return table(path).set_index("seed").sort_index()


def table(path: Path) -> pd.DataFrame:
    """Return the rows of a CSV file."""
    return _read(path, path.stat().st_mtime_ns).copy()


@cache
def _read(path: Path, written: int) -> pd.DataFrame:
    """Read a file once for each time at which it was written: tables need the same cells often."""
    return pd.read_csv(path)
