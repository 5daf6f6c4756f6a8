"""Trains the trials of a search, and shows them as a sweep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console

from acexp.commands.sweep_view import SweepView
from acexp.config.search import Search
from acexp.runs.outcome import Outcome, previous_outcome
from acexp.runs.run import TrainOptions
from acexp.sweeps.fleet import Fleet
from acexp.sweeps.runs import SweepRuns
from acexp.sweeps.search import TrialRun


class SearchTrainer:
    """Trains the runs of trials, batch after batch.

    Attributes:
        signal_number: Number of the signal that ended the last batch; None if none did.
    """

    def __init__(self, console: Console, search: Search, fleet: Fleet) -> None:
        self._console, self._search, self._fleet = console, search, fleet
        self._latest: dict[str, Outcome] = {}
        self._n_runs = 0
        self.signal_number: int | None = None

    @property
    def outcomes(self) -> Iterable[Outcome]:
        """The latest outcome of every run."""
        return self._latest.values()

    def train(self, trials: Sequence[Mapping[str, object]], until: int | None) -> list[list[TrialRun]]:
        """Train the runs of trials with these parameters up to an env step; see sweeps.search.Trainer."""
        distinct = list({repr(sorted(parameters.items())): parameters for parameters in trials}.values())
        jobs = self._search.jobs(distinct, self._n_runs)
        self._n_runs += len(jobs.runs)
        runs = SweepRuns(jobs)
        work, earlier = runs.left_to_do()
        waiting = {run for run, step in work.items() if until is not None and step is not None and step >= until}
        earlier |= {run: previous_outcome(runs.directory(run)) for run in waiting}
        work = {run: step for run, step in work.items() if run not in waiting}
        total_steps = [until or config.total_steps for config in runs.configs]
        with SweepView(self._console, [run.overrides for run in jobs.runs], total_steps) as view:
            view.skipped(earlier)
            results, self.signal_number = self._fleet.train(runs, view, work, TrainOptions(until=until))
        trained = [TrialRun(earlier.get(run, outcome), runs.directory(run)) for run, outcome in enumerate(results)]
        self._latest |= {str(run.directory): run.outcome for run in trained if run.outcome is not None}
        n_seeds = len(self._search.space.seeds)
        return [trained[i * n_seeds : (i + 1) * n_seeds] for i in map(distinct.index, trials)]
