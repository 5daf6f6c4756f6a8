"""What the console says at the end of a sweep or a search: the cells, the best first, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from acexp import report as reports
from acexp.config.names import setting_of
from acexp.core.errors import UserError
from acexp.report import Question, Study
from acexp.report.numbers import number
from acexp.report.scores import Estimate
from acexp.report.table import Table, text
from acexp.sweeps.sweep_directory import read_search


def print_cells(console: Console, folder: Path) -> None:
    """Print what a sweep says so far, as its report would; nothing if no run can be read."""
    try:
        study = reports.study(folder, Question())
    except (UserError, OSError):
        return
    print_answer(console, study)


def print_answer(console: Console, study: Study) -> None:
    """Print a study's answer in a sentence, and its cells in a table, the best first."""
    console.print(reports.answer(study), markup=False)
    ranking = reports.ranking(study)
    console.print(_as_rich(ranking))
    console.print(ranking.note, markup=False)


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


def _as_rich(table: Table) -> RichTable:
    shown = RichTable(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for i, column in enumerate(table.columns):
        is_number = any(isinstance(row[i], float | Estimate) for row in table.rows)
        shown.add_column(column, justify="right" if is_number else "left")
    for row in table.rows:
        shown.add_row(*(Text(text(value)) for value in row))
    return shown
