"""Training: one run, or a sweep with -m."""

from __future__ import annotations

import contextlib
from tempfile import TemporaryDirectory

from rich.console import Console

from acexp.commands.outcomes import EXIT_INTERRUPTED, conclude, print_outcome
from acexp.commands.search import search
from acexp.commands.sweep_view import SweepView
from acexp.config import application
from acexp.config.application import Job
from acexp.config.launcher import LauncherConfig
from acexp.config.places import place_of
from acexp.config.search import Search
from acexp.config.sweep import SweepJobs
from acexp.core.errors import UserError
from acexp.metrics import display_for
from acexp.runs import runner
from acexp.runs.outcome import Outcome, record_failure
from acexp.runs.run_directory import Standing, Status
from acexp.sweeps import executors
from acexp.sweeps.fleet import Fleet
from acexp.sweeps.runs import SweepRuns, standing_of
from acexp.system import distributed


class _StopSweep(SystemExit):
    """Ends a sweep: Hydra takes any other exception as one job's failure."""


def train(arguments: list[str], *, fresh_only: bool = False) -> int:
    """Train what Hydra's command line describes, and say how it ended; with `fresh_only`, runs that had not begun."""
    console = Console(highlight=False, soft_wrap=True, quiet=distributed.rank() > 0)
    outcomes: list[Outcome] = []

    n_unstarted = 0
    signal_number: int | None = None

    def one_run(job: Job) -> None:
        standing = standing_of(job.config, job.directory, in_sweep=job.in_sweep)
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
        runs = SweepRuns(jobs)
        with SweepView(
            console, [run.overrides for run in jobs.runs], [config.total_steps for config in runs.configs]
        ) as view:
            work, earlier = runs.left_to_do()
            if fresh_only:
                work = {run: step for run, step in work.items() if step is None}
            runs.note(arguments)
            view.skipped(earlier)
            try:
                with Fleet(launcher) as fleet:
                    results, signal_number = fleet.train(runs, view, work)
            except UserError as error:
                raise error.at(place_of(error.key, arguments)) from error
        known = [earlier.get(run, outcome) for run, outcome in enumerate(results)]
        outcomes.extend(outcome for outcome in known if outcome is not None)
        n_unstarted = sum(known[run] is None for run in work)

    def whole_search(wanted: Search) -> None:
        nonlocal signal_number
        signal_number = search(console, wanted, arguments, outcomes)

    with contextlib.ExitStack() as stack:
        if distributed.world_size() > 1:
            arguments = _shared(arguments, stack)
        if application.MULTIRUN & set(arguments):
            executors.prepare()
        stack.enter_context(contextlib.suppress(_StopSweep))
        application.run(arguments, one_run, whole_sweep, whole_search)
    return conclude(console, outcomes, n_unstarted, signal_number)


def _shared(arguments: list[str], stack: contextlib.ExitStack) -> list[str]:
    """The command line of one of several processes that train one run: only the first has its directory."""
    if application.MULTIRUN & set(arguments):
        raise UserError(
            "torchrun spreads one run over processes, and a sweep has processes of its own.",
            value="-m",
            remedy="leave out torchrun, or train one run",
        )
    if not distributed.rank():
        return arguments
    return [*arguments, f"hydra.run.dir={stack.enter_context(TemporaryDirectory(prefix='acexp-'))}/run"]
