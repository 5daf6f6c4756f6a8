"""How runs ended, in words and as an exit code."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from acexp.commands.sweep_view import FAILURES
from acexp.run_directory import ERROR_LOG, Status
from acexp.runner import Outcome

EXIT_FAILED = 1
EXIT_INTERRUPTED = 128 + signal.SIGINT


def print_outcome(console: Console, outcome: Outcome) -> None:
    """A run's end, in a few lines."""
    mean_return = outcome.mean_return
    recent = "no episode ended" if mean_return is None else f"mean return {mean_return:.1f} (last 100 episodes)"
    lines = [
        f"{outcome.status}: {outcome.steps:,} env steps in {outcome.seconds:,.1f} s "
        f"({outcome.steps_per_second:,.0f} steps/s), {recent}"
    ]
    if outcome.error:
        lines.append(f"  {outcome.error}")
    log = outcome.directory / ERROR_LOG
    lines.append(f"  run directory: {relative(outcome.directory)}")
    if log.exists():
        lines.append(f"  traceback:     {relative(log)}")
    if outcome.status is Status.INTERRUPTED:
        lines.append(f"  go on with:    acexp resume {relative(outcome.directory)}")
    console.print("\n".join(lines), markup=False)


def conclude(console: Console, outcomes: Sequence[Outcome], n_unstarted: int) -> int:
    """What failed, where to look, and the exit code."""
    if n_unstarted:
        console.print(f"{n_unstarted} runs were not started", markup=False)
    if not outcomes:
        return EXIT_INTERRUPTED if n_unstarted else 0  # Hydra answered by itself, as for --help
    shown = Path(os.path.commonpath([outcome.directory for outcome in outcomes]))
    failures = [outcome for outcome in outcomes if outcome.status in FAILURES]
    if len(outcomes) > 1 and failures:
        console.print(f"{len(failures)} of {len(outcomes)} runs did not finish:", markup=False)
        for outcome in failures:
            reason = (outcome.error or "").splitlines() or [""]
            console.print(f"  {outcome.status}: {relative(outcome.directory)}: {reason[0]}", markup=False)
            if (outcome.directory / ERROR_LOG).exists():
                console.print(f"    traceback: {relative(outcome.directory / ERROR_LOG)}", markup=False)
    console.print(f"look at it with:\n  tensorboard --logdir {relative(shown)}", markup=False)
    interrupted = [outcome for outcome in outcomes if outcome.status is Status.INTERRUPTED]
    if interrupted:
        return 128 + (interrupted[0].signal or signal.SIGINT)
    return EXIT_FAILED if failures else 0


def relative(path: Path) -> str:
    """From here, if it is below."""
    shown = os.path.relpath(path)
    return str(path) if shown.startswith("..") else shown
