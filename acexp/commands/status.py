"""`acexp status`: shows the status of a run, or of every run of a sweep."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from rich.table import Table
from rich.text import Text

from acexp.commands.console import console_for_tables, relative
from acexp.core.errors import UserError
from acexp.runs import checkpoint, run_directory
from acexp.runs.run_directory import Status
from acexp.sweeps import sweep_directory
from acexp.system.lock import is_locked

UNSTARTED = "not begun"
"""The status that is shown for runs of a sweep that have no directory yet."""


def status(arguments: list[str]) -> int:
    """Print the status of the run, or of every run of the sweep, in the directory that is given."""
    parser = argparse.ArgumentParser(prog="acexp status", description="Show the status of runs.")
    parser.add_argument("directory", type=Path, help="the directory of a run or a sweep")
    directory: Path = parser.parse_args(arguments).directory.resolve()
    console = console_for_tables()
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("run", "status", "steps", "saved at", "resume", "why"):
        table.add_column(heading, no_wrap=True, justify="right" if heading in ("steps", "saved at") else "left")
    counts: Counter[str] = Counter()
    runs = sweep_directory.runs_in(directory)
    for run in runs:
        try:
            content = run_directory.read_status(run)
        except UserError as error:
            content = {"status": "unreadable", "error": error.problem}
        state = run_directory.current_status(run, content)
        counts[state] += 1
        saved = checkpoint.step(run)
        why = str(content.get("error", "")).splitlines()
        table.add_row(
            Text(run.name),
            state,
            f"{content['steps']:,}" if "steps" in content else "",
            "" if saved is None else f"{saved:,}",
            str(content.get("resume", "")),
            Text(why[0] if why else ""),
        )
    n_unstarted = sweep_directory.unstarted(sweep_directory.read_sweep(directory), runs)
    if n_unstarted:
        counts[UNSTARTED] = n_unstarted
    console.print(table)
    console.print(", ".join(f"{n} {state}" for state, n in counts.items()), markup=False)
    is_training = any(is_locked(run) for run in runs)
    if counts.keys() - {Status.DONE, Status.PRUNED, Status.RUNNING} and not is_training:
        console.print(
            f"go on with:\n  {sweep_directory.command_to_continue(directory, relative(directory))}", markup=False
        )
    return 0
