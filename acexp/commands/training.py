"""What `acexp` does with the run, sweep or search that Hydra composes: trains it and collects the outcomes."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from acexp.algorithm.assembly import check_environments
from acexp.commands.console import EXIT_INTERRUPTED, print_outcome
from acexp.commands.preview import preview_search, preview_sweep
from acexp.commands.reached import comparison, known_results
from acexp.commands.search import SearchTrainer
from acexp.commands.sweep_view import SweepView
from acexp.config import RunConfig, identity
from acexp.config.application import Job
from acexp.config.launcher import LauncherConfig
from acexp.config.places import place_of, placed
from acexp.config.search import Search
from acexp.config.sweep import SweepJobs, SweepRun
from acexp.core.errors import UserError
from acexp.engines import FaultyEnvironmentError
from acexp.metrics import display_for, require_writers
from acexp.runs import runner
from acexp.runs.outcome import Outcome, record_failure
from acexp.runs.remarks import refuse_unread, remarks
from acexp.runs.run import Run, TrainOptions
from acexp.runs.run_directory import RunState, Status
from acexp.sweeps import executors
from acexp.sweeps.fleet import Fleet
from acexp.sweeps.runs import SweepRuns, decide
from acexp.sweeps.search import SearchLoop, rungs_of
from acexp.sweeps.sweep_directory import (
    identities,
    n_others,
    note_sweep,
    refuse_search,
    refuse_sweep,
    refuse_trained,
)
from acexp.sweeps.trials import Trials, require_optuna
from acexp.system.files import unwritable


class StopSweep(SystemExit):
    """Ends a sweep of Hydra's basic launcher, which takes any other exception as the failure of one job."""


class Training:
    """Trains what Hydra composes. See config.application.Application.

    Attributes:
        console: Where outcomes are printed.
        arguments: The command line.
        only_new: Whether runs that have begun before are left alone.
        outcomes: How the runs ended.
        n_unstarted: Number of runs that were not begun.
        signal_number: Number of the signal that ended training; None if none did.
    """

    def __init__(self, console: Console, arguments: list[str], *, only_new: bool = False) -> None:
        self.console, self.arguments, self.only_new = console, arguments, only_new
        self._folder = Path.cwd()  # with hydra.job.chdir, a run trains in its own folder
        self.outcomes: list[Outcome] = []
        self.n_unstarted = 0
        self.signal_number: int | None = None

    def train_run(self, job: Job) -> None:
        """Train a single run, or one of a sweep with `hydra/launcher=basic`."""
        run = Run(job.config, job.directory)
        decision = decide(run, in_sweep=job.in_sweep)
        if decision.outcome is not None:
            self._finish([decision.outcome])
            return
        for remark in () if job.in_sweep else (*job.remarks, *remarks([job.config], job.overrides)):
            self._print(remark)
        options = TrainOptions(resume=decision.state is RunState.UNFINISHED)
        result = runner.attempt([run], options, display_for(self.console))
        if isinstance(result, UserError):
            error = result.at(place_of(result.key, job.overrides))
            if not job.in_sweep and not isinstance(error, FaultyEnvironmentError):
                raise error
            result = [record_failure(run, str(error))]
        self._finish(result, None if job.in_sweep else job.config)
        if result[0].status is Status.INTERRUPTED:
            raise StopSweep(EXIT_INTERRUPTED)

    def check_launcher(self, launcher: LauncherConfig) -> None:
        """Raise UserError if it is clear before anything is written that the launcher cannot work here."""
        executors.require(launcher)

    def check_runs(self, runs: Sequence[SweepRun]) -> None:
        """Raise UserError if a sweep varies what none of its runs reads, or lacks the packages of a writer."""
        with placed(self.arguments):
            require_writers(dict.fromkeys(name for run in runs for name in run.config.log.writers))
            refuse_unread([run.config for run in runs], [run.overrides for run in runs])

    def check_environments(self, configs: Sequence[RunConfig]) -> None:
        """Print remarks on the environments of a sweep's runs; raise UserError if none of them works."""
        with placed(self.arguments):
            for remark in check_environments(configs):
                self._print(remark)

    def begun(self, folder: Path) -> dict[str, str]:
        """Return the identities of the runs that have begun in a sweep's folder, by the names of their directories."""
        return identities(folder)

    def claim_sweep(self, folder: Path, configs: Sequence[RunConfig]) -> None:
        """Say if a folder holds another sweep too; raise UserError if it holds a search.

        Nothing has been written yet.
        """
        with placed(self.arguments):
            refuse_search(folder, self._key_of_folder)
        n = n_others(folder, [identity(config) for config in configs])
        if n:
            self._print(f"{folder.name} holds {n} runs of another sweep too, which are kept; name=... names a new one")

    @property
    def _key_of_folder(self) -> str:
        """The setting that names the folder of a sweep."""
        return "name" if any(argument.startswith("name=") for argument in self.arguments) else "hydra.sweep.dir"

    def note_repeats(self, n: int) -> None:
        """Print how many runs of a sweep equal others of it."""
        what = "1 run equals another of this sweep and is" if n == 1 else f"{n} runs equal others of this sweep and are"
        self._print(f"{what} trained once")

    def train_sweep(self, jobs: SweepJobs, launcher: LauncherConfig) -> None:
        """Train a sweep as populations, or only print what would be trained."""
        if launcher.dry_run:
            preview_sweep(self.console, jobs, launcher, self.arguments)
            return
        runs = SweepRuns(jobs)
        total_steps = [config.total_steps for config in runs.configs]
        for remark in remarks(runs.configs, list(dict.fromkeys(o for run in jobs.runs for o in run.overrides))):
            self._print(remark)
        with SweepView(self.console, [run.overrides for run in jobs.runs], total_steps) as view:
            work, earlier = runs.left_to_do()
            refuse_trained(runs.directory(run) for run in work if work[run] is not None)
            if self.only_new:
                work = {run: step for run, step in work.items() if step is None}
            runs.note(self.arguments)
            view.skipped(earlier)
            with placed(self.arguments), Fleet(launcher) as fleet:
                results, self.signal_number = fleet.train(runs, view, work)
        known = [earlier.get(run, outcome) for run, outcome in enumerate(results)]
        self.outcomes.extend(outcome for outcome in known if outcome is not None)
        self.n_unstarted += sum(known[run] is None for run in work)

    def search(self, search: Search) -> None:
        """Search until there are enough trials, or a signal ends it."""
        executors.require(search.launcher)
        require_optuna()
        example = search.check()
        rungs = rungs_of(example, search.config)
        self.check_runs(search.examples())
        self.check_environments([example])
        if search.launcher.dry_run:
            preview_search(self.console, search, self.arguments)
            return
        folder = search.jobs(search.space.corners[:1]).directory(0).parent
        with placed(self.arguments):
            refuse_sweep(folder, self._key_of_folder)
        with contextlib.suppress(OSError):
            note_sweep(folder, [], self.arguments)
        with Fleet(search.launcher) as fleet:
            trainer = SearchTrainer(self.console, search, fleet)
            try:
                with placed(self.arguments), Trials(search.config, search.space, folder, rungs) as trials:
                    SearchLoop(trials, rungs, trainer.train, self._print).run()
            except OSError as error:
                raise unwritable("The search's folder", error, folder, key="hydra.sweep.dir") from error
            finally:
                self.outcomes.extend(trainer.outcomes)
                self.signal_number = trainer.signal_number
        from acexp.commands.conclusion import print_best_trial  # the report's imports take a while

        print_best_trial(self.console, folder, search.space.fixed)

    def _finish(self, outcomes: Sequence[Outcome], config: RunConfig | None = None) -> None:
        """Print how a run ended and, if its config is given, how that compares with known results."""
        self.outcomes.extend(outcomes)
        compared = None if config is None else comparison(config, outcomes[0].mean_return, known_results())
        with contextlib.chdir(self._folder):
            print_outcome(self.console, outcomes[0], compared)

    def _print(self, line: str) -> None:
        self.console.print(line, markup=False)
