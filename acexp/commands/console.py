"""What the commands print of runs, and the exit codes."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from acexp.commands.screen import relative
from acexp.commands.sweep_view import FAILURES
from acexp.core.errors import UserError
from acexp.runs import run_directory
from acexp.runs.claims import EVENTS
from acexp.runs.outcome import Outcome
from acexp.runs.run_directory import APPROXIMATE, ERROR_LOG, Status
from acexp.sweeps.sweep_directory import command_to_continue, is_search

EXIT_FAILED = 1
EXIT_INTERRUPTED = 128 + signal.SIGINT


def print_outcome(console: Console, outcome: Outcome, compared: str | None = None) -> None:
    """Print how a run ended, in a few lines; `compared` is how that compares with known results."""
    mean_return = outcome.mean_return
    recent = "no episode ended" if mean_return is None else f"mean return {mean_return:.1f} (last 100 episodes)"
    lines = [
        f"{outcome.status}: {outcome.steps:,} env steps in {outcome.seconds:,.1f} s "
        f"({outcome.steps_per_second:,.0f} steps/s), {recent}"
    ]
    if outcome.error:
        lines.append(f"  {outcome.error}")
    if outcome.resume == APPROXIMATE:
        lines.append(f"  resume: approximate: {outcome.obstacle}, so new episodes began")
    if compared is not None and outcome.status is Status.DONE:
        lines.append(f"  compare:       {compared}")
    log = outcome.directory / ERROR_LOG
    lines.append(f"  run directory: {relative(outcome.directory)}")
    if log.exists():
        lines.append(f"  traceback:     {relative(log)}")
    lines += [f"  note: {note}" for note in outcome.notes]
    if outcome.status is Status.INTERRUPTED:
        lines.append(f"  go on with:    acexp resume {relative(outcome.directory)}")
    elif outcome.status is Status.FAILED and _is_failed(outcome.directory):
        lines.append(f"  try again:     acexp resume {relative(outcome.directory)}")
    console.print("\n".join(lines), markup=False)


def conclude(
    console: Console, outcomes: Sequence[Outcome], n_unstarted: int = 0, signal_number: int | None = None
) -> int:
    """Print which runs failed and where to look, and return the exit code.

    `signal_number` is that of the signal that ended a sweep, None if none did.
    """
    interrupted = [outcome for outcome in outcomes if outcome.status is Status.INTERRUPTED]
    if signal_number is None and interrupted:
        signal_number = interrupted[0].signal
    stopped = 128 + (signal_number or signal.SIGINT) if interrupted or n_unstarted else 0
    if len(outcomes) > 1:
        obstacles = Counter(outcome.obstacle for outcome in outcomes if outcome.resume == APPROXIMATE)
        for obstacle, n in obstacles.items():
            console.print(f"resume: approximate for {n} runs: {obstacle}, so new episodes began", markup=False)
        for note, n in Counter(note for outcome in outcomes for note in outcome.notes).items():
            console.print(f"note, for {n} of {len(outcomes)} runs: {note}", markup=False)
    if n_unstarted:
        console.print(f"{n_unstarted} runs were not started", markup=False)
    if not outcomes:
        return stopped  # 0 where Hydra answered by itself, as for --help
    shown = Path(os.path.commonpath([outcome.directory for outcome in outcomes]))
    failures = [outcome for outcome in outcomes if outcome.status in FAILURES]
    if len(outcomes) > 1 and failures:
        console.print(f"{len(failures)} of {len(outcomes)} runs did not finish:", markup=False)
        for outcome in failures:
            reason = (outcome.error or "").splitlines() or [""]
            console.print(f"  {outcome.status}: {relative(outcome.directory)}: {reason[0]}", markup=False)
            if (outcome.directory / ERROR_LOG).exists():
                console.print(f"    traceback: {relative(outcome.directory / ERROR_LOG)}", markup=False)
    if len(outcomes) > 1 and stopped:
        console.print(f"go on with:\n  {command_to_continue(shown, relative(shown))}", markup=False)
    elif len(outcomes) > 1 and any(_is_failed(outcome.directory) for outcome in failures):
        only = "" if is_search(shown) else " --only failed"
        command = f"{command_to_continue(shown, relative(shown))}{only}"
        console.print(f"when the cause is mended, train the failed runs again with:\n  {command}", markup=False)
    if len(outcomes) > 1 and not stopped and any(outcome.status is Status.DONE for outcome in outcomes):
        from acexp.commands.conclusion import next_commands, print_cells  # the report's imports take a while

        if not is_search(shown):
            print_cells(console, shown)
        console.print(next_commands(relative(shown)), markup=False)
    elif any(shown.rglob(EVENTS)):
        console.print(f"look at it with:\n  tensorboard --logdir {relative(shown)}", markup=False)
    return stopped or (EXIT_FAILED if failures else 0)


def _is_failed(directory: Path) -> bool:
    """Return True if the directory says itself that its run failed; a failure may also be that it holds another run."""
    try:
        return run_directory.read_status(directory).get("status") == Status.FAILED
    except UserError:
        return False
