"""What the console says at the end of a sweep or a search: the cells, the best first, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from acexp.config.names import setting_of
from acexp.core.errors import UserError
from acexp.report.cells import Cell, divide
from acexp.report.inference import bootstrap, mean
from acexp.report.numbers import NOTHING, number
from acexp.report.records import collect
from acexp.report.scores import SEED, metric
from acexp.sweeps.sweep_directory import read_search

MOST_CELLS = 20
"""The number of cells that are printed at most; the report has all of them."""

FEWEST_SEEDS = 3
"""The number of seeds from which on an interval is printed: that of two is the two values."""

WIDE = 10_000
"""The width of tables that are written to a file or a pipe, which wraps nothing."""


def print_cells(console: Console, folder: Path) -> None:
    """Print a table of a sweep's cells, the best first: mean, interval and number of seeds; nothing without scores."""
    try:
        grid = divide(collect(folder).records)
    except (UserError, OSError):
        return
    scale = metric(None, grid, ())
    scored = [(cell, [*scale.scores(cell).values()]) for cell in grid]
    if not any(scores for _, scores in scored):
        return
    rows = sorted(scored, key=lambda row: (row[0].environment, -float(np.mean(row[1])) if row[1] else np.inf))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("best first" if len(rows) > 1 else "cell", overflow="fold")
    for heading in ("mean", "95% interval", "n"):
        table.add_column(heading, justify="right", no_wrap=True)
    several = len(grid.environments) > 1
    for cell, scores in rows[:MOST_CELLS]:
        table.add_row(Text(_name(cell, several=several)), *_figures(scores), str(len(scores)))
    console.print(f"{scale.description}:", markup=False)
    console.print(table, width=None if console.is_terminal else WIDE)
    if len(rows) > MOST_CELLS:
        console.print(f"and {len(rows) - MOST_CELLS} more, in the report", markup=False)


def print_best_trial(console: Console, folder: Path, fixed: Sequence[str]) -> None:
    """Print the best trial of a search, and the command that trains with its settings; nothing if there is none."""
    try:
        content = read_search(folder)
    except (OSError, ValueError):
        return
    best = next((trial for trial in content.get("trials", ()) if trial["number"] == content.get("best")), None)
    if best is None:
        return
    kept = [override for override in fixed if setting_of(override)[0] != "name"]
    settings = [f"{key}={value}" for key, value in best["params"].items()]
    console.print(
        f"best: trial {best['number']}, {number(float(best['value']))}; train with its settings:\n"
        f"  {shlex.join(['acexp', *kept, *settings])}",
        markup=False,
    )


def next_commands(folder: str) -> str:
    """Return the commands that usually follow a sweep, ready to copy."""
    return "\n".join(["next:", *(f"  acexp {name} {shlex.quote(folder)}" for name in ("eval", "report", "dashboard"))])


def _name(cell: Cell, *, several: bool) -> str:
    parts = [cell.environment] if several or not cell.levels else []
    return ", ".join([*parts, *([cell.name] if cell.levels else [])])


def _figures(scores: Sequence[float]) -> tuple[str, str]:
    """Return the mean and its interval as text."""
    if not scores:
        return NOTHING, NOTHING
    if len(scores) < FEWEST_SEEDS:
        return number(float(np.mean(scores))), NOTHING
    interval = bootstrap([scores], mean, SEED)
    return number(float(np.mean(scores))), f"[{number(interval.low)}, {number(interval.high)}]"
