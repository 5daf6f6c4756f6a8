"""Training: one run, or a sweep with -m."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from acexp import checkpoint, executors, fleet, run_directory, runner
from acexp.commands.outcomes import EXIT_INTERRUPTED, conclude, print_outcome
from acexp.commands.sweep_view import SweepView
from acexp.config import RunConfig, application, identity
from acexp.config.application import Job
from acexp.config.launcher import LauncherConfig
from acexp.config.places import place_of
from acexp.config.sweep import SweepJobs
from acexp.core.errors import UserError
from acexp.metrics import display_for
from acexp.outcome import Outcome, previous_outcome, record_failure
from acexp.run_directory import Standing, Status

_MULTIRUN = {"-m", "--multirun"}


class _StopSweep(SystemExit):
    """Ends a sweep: Hydra takes any other exception as one job's failure."""


def train(arguments: list[str], *, fresh_only: bool = False) -> int:
    """Train what Hydra's command line describes, and say how it ended; with `fresh_only`, runs that had not begun."""
    console = Console(highlight=False, soft_wrap=True)
    outcomes: list[Outcome] = []

    n_unstarted = 0
    signal_number: int | None = None

    def one_run(job: Job) -> None:
        standing = _standing(job.config, job.directory, in_sweep=job.in_sweep)
        if isinstance(standing, Outcome):
            outcomes.append(standing)
            print_outcome(console, standing)
            return
        resume = standing is Standing.UNFINISHED
        result = runner.attempt([job.config], [job.directory], display_for(console), resume=resume)
        if isinstance(result, UserError):
            error = result.at(place_of(result.key, job.overrides))
            if not job.in_sweep:
                raise error
            result = [record_failure(job.config, job.directory, str(error))]
        outcomes.extend(result)
        print_outcome(console, result[0])
        if result[0].status is Status.INTERRUPTED:
            raise _StopSweep(EXIT_INTERRUPTED)

    def whole_sweep(jobs: SweepJobs, launcher: LauncherConfig) -> None:
        nonlocal n_unstarted, signal_number
        runs = _SweepRuns(jobs)
        with SweepView(
            console, [run.overrides for run in jobs.runs], [config.total_steps for config in runs.configs]
        ) as view:
            work, earlier = runs.left_to_do()
            if fresh_only:
                work = {run: step for run, step in work.items() if step is None}
            runs.note(arguments)
            view.skipped(earlier)
            try:
                results, signal_number = fleet.train_all(runs, launcher, view, work)
            except UserError as error:
                raise error.at(place_of(error.key, arguments)) from error
        known = [earlier.get(run, outcome) for run, outcome in enumerate(results)]
        outcomes.extend(outcome for outcome in known if outcome is not None)
        n_unstarted = sum(known[run] is None for run in work)

    if _MULTIRUN & set(arguments):
        executors.prepare()
    with contextlib.suppress(_StopSweep):
        application.run(arguments, one_run, whole_sweep)
    return conclude(console, outcomes, n_unstarted, signal_number)


class _SweepRuns:
    """The runs of a sweep as a fleet trains them."""

    def __init__(self, jobs: SweepJobs) -> None:
        self._jobs = jobs
        self.configs: Sequence[RunConfig] = [run.config for run in jobs.runs]

    def directory(self, run: int) -> Path:
        return self._jobs.directory(run)

    def left_to_do(self) -> tuple[dict[int, int | None], dict[int, Outcome]]:
        """The runs to train, with the env step that each goes on at or None; and the others, with how they ended."""
        everything: dict[int, int | None] = dict.fromkeys(range(len(self.configs)))
        # To compose every run's directory takes seconds, for nothing where no run has begun.
        if not everything or not any(path.is_dir() for path in self._jobs.directory(0).parent.glob("*")):
            return everything, {}
        work: dict[int, int | None] = {}
        earlier: dict[int, Outcome] = {}
        for run, config in enumerate(self.configs):
            directory = self._jobs.directory(run)
            standing = _standing(config, directory, in_sweep=True)
            if isinstance(standing, Outcome):
                earlier[run] = standing
            else:
                work[run] = (checkpoint.step(directory) or 0) if standing is Standing.UNFINISHED else None
        return work, earlier

    def note(self, arguments: list[str]) -> None:
        """Write down what the sweep is, for whoever finds it unfinished."""
        if not self.configs:
            return
        folder = self.directory(0).parent
        # Where the folder cannot be written, each run says so for itself.
        with contextlib.suppress(OSError):
            run_directory.note_sweep(folder, [identity(config) for config in self.configs], arguments)

    def open(self, run: int, directory: Path) -> None:
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


def _standing(config: RunConfig, directory: Path, *, in_sweep: bool) -> Standing | Outcome:
    """Whether a run begins or goes on; or, if it does neither, how it ended or why it cannot."""
    try:
        standing = run_directory.standing(directory, identity(config))
        if standing is Standing.OVER and in_sweep:
            return previous_outcome(directory)
        if standing is Standing.ANOTHER or (standing is not Standing.FRESH and not in_sweep):
            run_directory.claim(directory)
    except UserError as taken:
        # What is there belongs to another run: not even the failure is written into it.
        return Outcome(directory, Status.FAILED, error=str(taken))
    return standing
