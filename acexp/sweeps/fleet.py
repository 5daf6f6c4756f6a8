"""Many runs, trained as populations by an executor in other processes."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from acexp.config import RunConfig, structure
from acexp.config.launcher import LauncherConfig
from acexp.core.errors import UserError
from acexp.runs import run_directory
from acexp.runs.outcome import Outcome, previous_outcome, record_failure
from acexp.runs.run import Run, TrainOptions
from acexp.runs.run_directory import Status
from acexp.sweeps.executors import Began, Dropped, Ended, Event, Executor, Lost, Progressed, open_executor
from acexp.sweeps.runs import Runs
from acexp.sweeps.worker import Job, Progress
from acexp.system.signals import stoppable

Work = Mapping[int, int | None]
"""The runs to train, by number, with the env step at which each continues; None for those that begin."""


class Watcher(Protocol):
    """Observes the populations, to show them."""

    def began(self, population: int, members: Sequence[int]) -> None:
        """Show that a population trains."""

    def progressed(self, population: int, progress: Progress) -> None:
        """Show how far a population has come."""

    def lost(self, population: int, members: Sequence[int], cause: str) -> None:
        """Show that a population's process is gone; these runs continue in another population."""

    def ended(self, population: int, outcomes: Mapping[int, Outcome]) -> None:
        """Show how these runs of a population ended."""

    def stopping(self, n_populations: int) -> None:
        """Show that a signal has arrived, and that this number of populations is awaited."""

    def tick(self) -> None:
        """Refresh what is shown; called at least twice a second."""


def divide(configs: Sequence[RunConfig], work: Work, max_members: int, places: int) -> list[list[int]]:
    """Divide runs into populations of equal structure and step, as lists of run numbers, the longest work first.

    Large populations cost least per member, but every place should have one to train.
    """
    groups: dict[tuple[str, int | None], list[int]] = {}
    for i, step in work.items():
        groups.setdefault((structure(configs[i]), step), []).append(i)
    at_most = max(1, min(max_members, math.ceil(len(work) / places)))
    populations = []
    for group in groups.values():
        n = math.ceil(len(group) / at_most)
        populations += [group[len(group) * k // n : len(group) * (k + 1) // n] for k in range(n)]
    return sorted(populations, key=lambda members: -len(members) * configs[members[0]].total_steps)


class Fleet:
    """Trains runs in the processes of one executor, which starts with the first of them; a context manager.

    Args:
        launcher: The kind of executor, and the size of populations.
    """

    def __init__(self, launcher: LauncherConfig) -> None:
        self._launcher = launcher
        self._executor: Executor | None = None

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._executor is not None:
            self._executor.close()

    def train(
        self, runs: Runs, watcher: Watcher, work: Work | None = None, options: TrainOptions | None = None
    ) -> tuple[list[Outcome | None], int | None]:
        """Train every run, each as it would have been alone; a run that fails leaves the others running.

        Args:
            runs: All runs.
            watcher: Shows how the populations do.
            work: The runs to train; None for all, from the start. The outcomes of the others are None.
            options: `allow_changes` and `until` for every run; the fleet sets the rest.

        Returns:
            The outcomes, and the number of the signal that ended training, None if none did. A signal ends the runs
            that train with status `interrupted`; the outcomes of those that had not begun are None.

        Raises:
            UserError: The executor cannot work here.
        """
        work = dict.fromkeys(range(len(runs.configs))) if work is None else work
        if not work:
            return [None] * len(runs.configs), None
        with stoppable() as request:
            self._executor = self._executor or open_executor(self._launcher)
            populations = _Populations(runs, watcher, self._executor, options or TrainOptions())
            populations.enqueue(work, self._launcher)
            while populations.has_work:
                if request.number is None:
                    populations.begin()
                else:
                    populations.stop()
                populations.poll()
        return populations.outcomes, request.number


class _Populations:
    """The populations that wait or train, and the outcomes of the others."""

    def __init__(self, runs: Runs, watcher: Watcher, executor: Executor, options: TrainOptions) -> None:
        self.outcomes: list[Outcome | None] = [None] * len(runs.configs)
        self._runs, self._watcher, self._executor, self._options = runs, watcher, executor, options
        self._work: Work = {}
        self._retries = 0
        self._cores = 1
        self._waiting: deque[tuple[int, list[int]]] = deque()
        self._running: dict[int, dict[int, Path]] = {}
        self._n_losses: Counter[int] = Counter()
        self._n_populations = 0
        self._is_stopping = False

    def enqueue(self, work: Work, launcher: LauncherConfig) -> None:
        """Divide the runs into populations, which wait for their turn."""
        self._work = work
        self._retries = self._executor.retries if launcher.retries is None else launcher.retries
        populations = divide(self._runs.configs, work, launcher.max_members, self._executor.places)
        self._cores = self._executor.cores(len(populations))
        self._waiting.extend(enumerate(populations))
        self._n_populations = len(populations)

    @property
    def has_work(self) -> bool:
        """Whether a population waits or trains."""
        return bool(self._waiting or self._running)

    def begin(self) -> None:
        """Hand waiting populations to the executor while it has places."""
        while self._waiting and (self._executor.queues or len(self._running) < self._executor.places):
            self._begin(*self._waiting.popleft())

    def stop(self) -> None:
        """Drop the populations that wait, and ask those that train to save and stop."""
        if not self._is_stopping:
            self._is_stopping = True
            self._watcher.stopping(len(self._running))
        self._waiting.clear()
        self._executor.stop()

    def poll(self) -> None:
        """Handle the executor's events, waiting a little if there are none."""
        for event in self._executor.poll():
            self._handle(event)
        self._watcher.tick()

    def _begin(self, population: int, members: Sequence[int]) -> None:
        """Make the members' directories, and hand those that have one to the executor."""
        directories: dict[int, Path] = {}
        is_retry = any(self._n_losses[member] for member in members)
        for member in members:
            directory = self._runs.directory(member)
            try:
                if not is_retry:
                    self._runs.open(member, directory)
                directories[member] = directory
            except UserError as error:
                failed = Outcome(directory, Status.FAILED, error=str(self._runs.explain(member, error)))
                self._note(population, {member: failed})
        if not directories:
            return
        options = TrainOptions(
            cores=self._cores,
            resume=is_retry or self._work[members[0]] is not None,
            allow_changes=self._options.allow_changes,
            until=self._options.until,
        )
        configs, varying = self._runs.configs, self._runs.varying
        job = Job(tuple(Run(configs[m], directory, varying) for m, directory in directories.items()), options)
        self._running[population] = directories
        try:
            self._executor.begin(population, job)
        except UserError as error:
            self._fail(population, error)

    def _handle(self, event: Event) -> None:
        directories = self._running[event.number]
        match event:
            case Began(number):
                self._watcher.began(number, list(directories))
            case Progressed(number, progress):
                self._watcher.progressed(number, progress)
            case Ended(number, UserError() as error):
                self._fail(number, error)
            case Ended(number, list() as outcomes):
                self._end(number, dict(zip(directories, outcomes, strict=True)))
            case Lost(number, cause):
                self._lose(number, cause)
            case Dropped(number):
                # A population may have begun although it was dropped: the request to drop it can come too late.
                begun = {member: path for member, path in directories.items() if run_directory.is_claimed(path)}
                self._end(number, {member: previous_outcome(path) for member, path in begun.items()})

    def _lose(self, population: int, cause: str) -> None:
        """Handle a lost worker: its population waits again, or its runs fail if that has happened too often."""
        members = list(self._running[population])
        self._n_losses.update(members)
        if max(self._n_losses[member] for member in members) <= self._retries:
            del self._running[population]
            self._watcher.lost(population, members, cause)
            self._waiting.appendleft((self._n_populations, members))
            self._n_populations += 1
            return
        self._fail(population, f"its process ended without reporting an outcome ({cause})")

    def _fail(self, population: int, why: UserError | str) -> None:
        """Write into the runs' directories why they could not begin or did not end.

        What is refused, by a UserError, leaves a run that had begun before as it was.
        """
        outcomes = {}
        for member, directory in self._running[population].items():
            reason = why if isinstance(why, str) else str(self._runs.explain(member, why))
            if isinstance(why, UserError) and self._work[member] is not None:
                outcomes[member] = Outcome(directory, Status.FAILED, error=reason)
            else:
                outcomes[member] = record_failure(Run(self._runs.configs[member], directory), reason)
        self._end(population, outcomes)

    def _end(self, population: int, outcomes: Mapping[int, Outcome]) -> None:
        del self._running[population]
        self._note(population, outcomes)

    def _note(self, population: int, outcomes: Mapping[int, Outcome]) -> None:
        for member, outcome in outcomes.items():
            self.outcomes[member] = outcome
            self._runs.close(member, outcome)
        self._watcher.ended(population, outcomes)
