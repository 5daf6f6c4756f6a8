"""`acexp status`: where every run of a sweep stands."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from rich.table import Table
from rich.text import Text

from acexp.commands.outcomes import console_for_tables, relative
from acexp.core.errors import UserError
from acexp.runs import checkpoint, run_directory
from acexp.runs.run_directory import Status
from acexp.system.lock import is_held

UNSTARTED = "not begun"
"""Part of the sweep, but without a directory."""


def status(arguments: list[str]) -> int:
    """Show the run, or the runs, in the directory that is named."""
    parser = argparse.ArgumentParser(prog="acexp status", description="Show where runs stand.")
    parser.add_argument("directory", type=Path, help="a run's directory, or a sweep's")
    directory: Path = parser.parse_args(arguments).directory.resolve()
    console = console_for_tables()
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("run", "status", "steps", "saved at", "resume", "why"):
        table.add_column(heading, no_wrap=True, justify="right" if heading in ("steps", "saved at") else "left")
    counts: Counter[str] = Counter()
    runs = run_directory.runs_in(directory)
    for run in runs:
        try:
            told = run_directory.read_status(run)
        except UserError as error:
            told = {"status": "unreadable", "error": error.problem}
        state = run_directory.state(run, told)
        counts[state] += 1
        saved = checkpoint.step(run)
        why = str(told.get("error", "")).splitlines()
        table.add_row(
            Text(run.name),
            state,
            f"{told['steps']:,}" if "steps" in told else "",
            "" if saved is None else f"{saved:,}",
            str(told.get("resume", "")),
            Text(why[0] if why else ""),
        )
    n_unstarted = run_directory.unstarted(run_directory.read_sweep(directory), runs)
    if n_unstarted:
        counts[UNSTARTED] = n_unstarted
    console.print(table)
    console.print(", ".join(f"{n} {state}" for state, n in counts.items()), markup=False)
    is_training = any(is_held(run) for run in runs)
    if counts.keys() - {Status.DONE, Status.PRUNED, Status.RUNNING} and not is_training:
        console.print(f"go on with:\n  {run_directory.how_to_go_on(directory, relative(directory))}", markup=False)
    return 0
