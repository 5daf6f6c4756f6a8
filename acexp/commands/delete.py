"""`acexp delete`: deletes the runs of a directory that have one status, such as those that failed."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from acexp.commands.arguments import Arguments
from acexp.commands.screen import console_for_tables, relative
from acexp.core.errors import UserError
from acexp.runs.run_directory import KILLED, Status
from acexp.sweeps import deletion, overview, sweep_directory

DELETABLE = tuple(map(str, (Status.FAILED, Status.DIVERGED, Status.INTERRUPTED, KILLED, Status.DONE)))
"""The statuses that `--only` takes."""


def delete(arguments: list[str]) -> int:
    """Delete the runs in or below a directory that have the status that is given, after asking."""
    parser = Arguments(
        prog="acexp delete",
        description="Delete the directories of the runs that have a status, for example of all that failed.",
    )
    parser.add_argument("directory", type=Path, help="a run's directory, a sweep's, or a folder that contains several")
    parser.add_argument(
        "--only",
        action="append",
        choices=DELETABLE,
        required=True,
        metavar="STATE",
        help=f"the status of the runs to delete ({', '.join(DELETABLE)}); may be given several times",
    )
    parser.add_argument("--yes", action="store_true", help="delete them without asking")
    options = parser.parse_args(arguments)
    directory: Path = options.directory.resolve()
    console = console_for_tables()
    if not directory.is_dir():
        raise UserError("There is no directory of this name.", value=str(options.directory))
    runs = [run for run in overview.runs_below(directory) if overview.readable_status(run)["status"] in options.only]
    states = " or ".join(dict.fromkeys(options.only))
    if not runs:
        console.print(f"{relative(directory)}: no run is {states}, so there is nothing to delete", markup=False)
        return 0
    deletion.refuse_trials(runs)
    question = f"Delete {'this run' if len(runs) == 1 else f'these {len(runs):,} runs'} for good?"
    console.print("\n".join(map(relative, runs)), markup=False)
    if not (options.yes or _agrees(console, question)):
        console.print("Nothing was deleted.", markup=False)
        return 0
    deletion.delete(runs)
    console.print(f"deleted: {len(runs):,}", markup=False)
    sweep = sweep_directory.read_sweep(directory)
    if sweep_directory.unstarted(sweep, overview.runs_below(directory)):
        command = sweep_directory.command_to_continue(directory, relative(directory))
        console.print(f"train anew what is missing with:\n  {command}", markup=False)
    return 0


def _agrees(console: Console, question: str) -> bool:
    """Ask a person; raise UserError where there is no terminal on which one could answer."""
    if not sys.stdin.isatty():
        raise UserError(question, remedy="there is no terminal to answer on: add --yes if you agree")
    console.print(f"{question} [y/N] ", end="", markup=False)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
