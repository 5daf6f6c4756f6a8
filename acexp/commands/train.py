"""Training: one run, or a sweep with -m."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from acexp import runner
from acexp.config import application
from acexp.config.application import Job
from acexp.config.places import place_of
from acexp.core.errors import UserError
from acexp.metrics import display_for
from acexp.run_directory import ERROR_LOG, Status
from acexp.runner import Outcome

EXIT_INTERRUPTED = 130


class _StopSweep(SystemExit):
    """Ends a sweep: Hydra takes any other exception as one job's failure."""


def train(arguments: list[str]) -> int:
    """Train what Hydra's command line describes, and say how it ended."""
    console = Console(highlight=False, soft_wrap=True)
    outcomes: list[Outcome] = []

    def one_run(job: Job) -> None:
        try:
            outcome = runner.run([job.config], [job.directory], display_for(console))[0]
        except UserError as error:
            if not job.in_sweep:
                raise
            outcome = runner.refuse(job.config, job.directory, error.at(place_of(error.key, job.overrides)))
        outcomes.append(outcome)
        _print_outcome(console, outcome)
        if outcome.status is Status.INTERRUPTED:
            raise _StopSweep(EXIT_INTERRUPTED)

    with contextlib.suppress(_StopSweep):
        application.run(arguments, one_run)
    return _conclude(console, outcomes)


def _print_outcome(console: Console, outcome: Outcome) -> None:
    mean_return = outcome.mean_return
    recent = "no episode ended" if mean_return is None else f"mean return {mean_return:.1f} (last 100 episodes)"
    lines = [
        f"{outcome.status}: {outcome.steps:,} env steps in {outcome.seconds:,.1f} s "
        f"({outcome.steps_per_second:,.0f} steps/s), {recent}"
    ]
    if outcome.error:
        lines.append(f"  {outcome.error}")
    log = outcome.directory / ERROR_LOG
    lines.append(f"  run directory: {_relative(outcome.directory)}")
    if log.exists():
        lines.append(f"  traceback:     {_relative(log)}")
    console.print("\n".join(lines), markup=False)


def _conclude(console: Console, outcomes: Sequence[Outcome]) -> int:
    if not outcomes:
        return 0  # Hydra answered by itself, as for --help
    shown = Path(os.path.commonpath([outcome.directory for outcome in outcomes]))
    failures = [outcome for outcome in outcomes if outcome.status in (Status.FAILED, Status.DIVERGED)]
    if len(outcomes) > 1 and failures:
        console.print(f"{len(failures)} of {len(outcomes)} runs did not finish:", markup=False)
        for outcome in failures:
            reason = (outcome.error or "").splitlines() or [""]
            console.print(f"  {outcome.status}: {_relative(outcome.directory)}: {reason[0]}", markup=False)
    console.print(f"look at it with:\n  tensorboard --logdir {_relative(shown)}", markup=False)
    if any(outcome.status is Status.INTERRUPTED for outcome in outcomes):
        return EXIT_INTERRUPTED
    return 1 if failures else 0


def _relative(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
