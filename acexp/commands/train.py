"""Training: one run, or a sweep with -m."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from acexp import fleet, run_directory, runner
from acexp.commands.sweep_view import FAILURES, SweepView
from acexp.config import RunConfig, application
from acexp.config.application import Job
from acexp.config.places import place_of
from acexp.config.sweep import SweepJobs
from acexp.core.errors import UserError
from acexp.fleet import Fleet
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

    n_unstarted = 0

    def one_run(job: Job) -> None:
        try:
            run_directory.claim(job.directory)
        except UserError as taken:
            # What is there belongs to another run: not even the failure is written into it.
            outcomes.append(Outcome(job.directory, Status.FAILED, error=str(taken)))
            _print_outcome(console, outcomes[-1])
            return
        result = runner.attempt([job.config], [job.directory], display_for(console))
        if isinstance(result, UserError):
            error = result.at(place_of(result.key, job.overrides))
            if not job.in_sweep:
                raise error
            result = [runner.fail(job.config, job.directory, str(error))]
        outcomes.extend(result)
        _print_outcome(console, result[0])
        if result[0].status is Status.INTERRUPTED:
            raise _StopSweep(EXIT_INTERRUPTED)

    def whole_sweep(jobs: SweepJobs, max_members: int, processes: int | None) -> None:
        nonlocal n_unstarted
        runs = _SweepRuns(jobs)
        with SweepView(
            console, [run.overrides for run in jobs.runs], [config.total_steps for config in runs.configs]
        ) as view:
            results = fleet.train_all(runs, Fleet(max_members, processes), view)
        outcomes.extend(outcome for outcome in results if outcome is not None)
        n_unstarted = results.count(None)

    with contextlib.suppress(_StopSweep):
        application.run(arguments, one_run, whole_sweep)
    return _conclude(console, outcomes, n_unstarted)


class _SweepRuns:
    """The runs of a sweep as a fleet trains them."""

    def __init__(self, jobs: SweepJobs) -> None:
        self._jobs = jobs
        self.configs: Sequence[RunConfig] = [run.config for run in jobs.runs]

    def directory(self, run: int) -> Path:
        return self._jobs.directory(run)

    def open(self, run: int, directory: Path) -> None:
        run_directory.claim(directory)
        try:
            self._jobs.begin(run)
        except OSError as error:
            raise UserError(
                f"The run directory cannot be made: {error.strerror}.", key="hydra.sweep.dir", value=str(directory)
            ) from error

    def explain(self, run: int, error: UserError) -> UserError:
        return error.at(place_of(error.key, self._jobs.runs[run].overrides))

    def close(self, run: int, outcome: Outcome) -> None:
        self._jobs.end(run, outcome)


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


def _conclude(console: Console, outcomes: Sequence[Outcome], n_unstarted: int) -> int:
    if not outcomes:
        return EXIT_INTERRUPTED if n_unstarted else 0  # Hydra answered by itself, as for --help
    shown = Path(os.path.commonpath([outcome.directory for outcome in outcomes]))
    failures = [outcome for outcome in outcomes if outcome.status in FAILURES]
    if len(outcomes) > 1 and failures:
        console.print(f"{len(failures)} of {len(outcomes)} runs did not finish:", markup=False)
        for outcome in failures:
            reason = (outcome.error or "").splitlines() or [""]
            console.print(f"  {outcome.status}: {_relative(outcome.directory)}: {reason[0]}", markup=False)
            if (outcome.directory / ERROR_LOG).exists():
                console.print(f"    traceback: {_relative(outcome.directory / ERROR_LOG)}", markup=False)
    if n_unstarted:
        console.print(f"{n_unstarted} runs were not started", markup=False)
    console.print(f"look at it with:\n  tensorboard --logdir {_relative(shown)}", markup=False)
    if any(outcome.status is Status.INTERRUPTED for outcome in outcomes):
        return EXIT_INTERRUPTED
    return 1 if failures else 0


def _relative(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
