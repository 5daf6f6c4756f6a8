"""What the console says at the end of a sweep or a search: the cells, the best first, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from itertools import compress
from pathlib import Path

from rich.console import Console

from acexp import report as reports
from acexp.commands.tables import print_sentences, print_table
from acexp.config.names import setting_of
from acexp.core.errors import UserError
from acexp.core.numbers import number
from acexp.report import Question, Study
from acexp.report.scores import Estimate
from acexp.report.table import text
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
    ranking = reports.ranking(study)
    print_sentences(console, reports.answer(study))
    is_number = [
        any(isinstance(value, float | Estimate) for value in column) for column in zip(*ranking.rows, strict=True)
    ]
    print_table(
        console,
        ranking.columns,
        [["" if value is None else text(value) for value in row] for row in ranking.rows],
        right=list(compress(ranking.columns, is_number)),
        n_names=ranking.columns.index("experiment") + 1,
    )
    print_sentences(console, ranking.note)


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
