"""`acexp status`: shows the state of a run or of every run of a sweep, or lists all runs and sweeps in a folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console

from acexp.commands.arguments import Arguments
from acexp.commands.screen import console_for_tables, relative
from acexp.commands.tables import print_table
from acexp.core.errors import UserError
from acexp.runs import manifest
from acexp.runs.run_directory import Status
from acexp.sweeps import overview, sweep_directory
from acexp.sweeps.overview import UNSTARTED, Entry
from acexp.system.lock import is_locked

OUTPUTS = Path("outputs")
"""Where acexp puts runs and sweeps unless it is asked to put them elsewhere."""

TRAIN = "acexp env=halfcheetah arch=shared"
HEADINGS = ("started", "runs", "steps", "return", "state")
RUN_HEADINGS = ("run", "status", "steps", "saved at", "resume", "why")


def status(arguments: list[str]) -> int:
    """Print the state of the run or the sweep in the directory that is given, or list what a folder holds."""
    parser = Arguments(
        prog="acexp status",
        description="List all runs and sweeps in a folder, newest first, or show the runs of one sweep.",
    )
    parser.add_argument(
        "directory",
        type=Path,
        nargs="?",
        default=OUTPUTS,
        help=f"the directory of a run or a sweep, or a folder that contains several ({OUTPUTS})",
    )
    given: Path = parser.parse_args(arguments).directory
    directory = given.resolve()
    console = console_for_tables()
    if not directory.is_dir():
        if given != OUTPUTS:
            raise UserError("There is no directory of this name.", value=str(given), remedy="`acexp status` lists all")
        _print_nothing(console, directory)
    elif overview.is_run_or_sweep(directory):
        _print_runs(console, directory)
    elif entries := overview.entries_below(directory):
        _print_entries(console, entries)
    else:
        _print_nothing(console, directory)
    return 0


def _print_nothing(console: Console, directory: Path) -> None:
    console.print(f"There are no runs in {relative(directory)} yet; train one with:\n  {TRAIN}", markup=False)


def _print_entries(console: Console, entries: Sequence[Entry]) -> None:
    """Print two lines on each entry: facts in columns, then its directory, which no width of a terminal cuts."""
    rows = [HEADINGS, *map(_facts, entries)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    header, *lines = ["  ".join([*map(str.rjust, row[:-1], widths), row[-1]]) for row in rows]
    console.print(header, style="dim", markup=False)
    for line, entry in zip(lines, entries, strict=True):
        console.print(f"{line}\n  {'  '.join([relative(entry.directory), *entry.settings])}", markup=False)
    total = sum((Counter(entry.states) for entry in entries), Counter[str]())
    console.print(f"{total.total():,} run{'s' if total.total() > 1 else ''}: {_counts(total)}", markup=False)


def _facts(entry: Entry) -> tuple[str, ...]:
    n_runs = sum(entry.states.values())
    mean_return = f"{sum(entry.returns) / len(entry.returns):,.1f}" if entry.returns else ""
    states = _counts(entry.states) if n_runs > 1 else "".join(entry.states)
    return _local_time(entry.started), f"{n_runs:,}", _range(entry.steps), mean_return, states


def _local_time(started: str) -> str:
    try:
        return datetime.fromisoformat(started).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return ""


def _range(steps: Sequence[int]) -> str:
    """Return the env steps of one run, or the fewest and the most of several."""
    ends = sorted({min(steps, default=0), max(steps, default=0)})
    return " to ".join(f"{end:,}" for end in ends)


def _counts(states: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {state}" for state, n in states.items())


def _print_runs(console: Console, directory: Path) -> None:
    rows = []
    counts: Counter[str] = Counter()
    runs = sweep_directory.runs_in(directory)
    for run in runs:
        content = overview.readable_status(run)
        counts[content["status"]] += 1
        saved = manifest.step(run)
        why = str(content.get("error", "")).splitlines()
        rows.append(
            (
                run.name,
                content["status"],
                f"{content['steps']:,}" if "steps" in content else "",
                "" if saved is None else f"{saved:,}",
                str(content.get("resume", "")),
                why[0] if why else "",
            )
        )
    n_unstarted = sweep_directory.unstarted(sweep_directory.read_sweep(directory), runs)
    if n_unstarted:
        counts[UNSTARTED] = n_unstarted
    print_table(console, RUN_HEADINGS, rows, right=("steps", "saved at"))
    console.print(_counts(counts), markup=False)
    is_training = any(is_locked(run) for run in runs)
    if counts.keys() - {Status.DONE, Status.PRUNED, Status.RUNNING} and not is_training:
        console.print(
            f"go on with:\n  {sweep_directory.command_to_continue(directory, relative(directory))}", markup=False
        )
