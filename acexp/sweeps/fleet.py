"""Layer 5: many runs, as populations that an executor trains in other processes."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from acexp.config import RunConfig
from acexp.config.launcher import LauncherConfig
from acexp.config.schema import structure
from acexp.core.errors import UserError
from acexp.runs import run_directory
from acexp.runs.outcome import Outcome, previous_outcome, record_failure
from acexp.runs.run_directory import Status
from acexp.sweeps.executors import Began, Dropped, Ended, Event, Executor, Lost, Progressed, executor
from acexp.sweeps.worker import Job, Progress
from acexp.system.signals import stoppable

Work = Mapping[int, int | None]
"""The runs to train, by number, with the env step that each is resumed at; None for those that begin."""


class Watcher(Protocol):
    """What wants to know how the populations are doing."""

    def began(self, population: int, members: Sequence[int]) -> None:
        """A population's process has been started."""

    def progressed(self, population: int, progress: Progress) -> None:
        """It trains."""

    def lost(self, population: int, members: Sequence[int], cause: str) -> None:
        """Its process is gone; these runs of it go on elsewhere, as another population."""

    def ended(self, population: int, outcomes: Mapping[int, Outcome]) -> None:
        """These runs of it are over."""

    def tick(self) -> None:
        """Called at least twice a second."""


class Runs(Protocol):
    """The runs to be trained, by number."""

    configs: Sequence[RunConfig]

    def directory(self, run: int) -> Path:
        """Where the run belongs."""

    def open(self, run: int, directory: Path) -> None:
        """Make the run's directory, now that its turn has come; raises UserError where there can be none."""

    def explain(self, run: int, error: UserError) -> UserError:
        """The same error, with the place where the value was said."""

    def close(self, run: int, outcome: Outcome) -> None:
        """The run is over."""


def divide(configs: Sequence[RunConfig], work: Work, max_members: int, places: int) -> list[list[int]]:
    """Populations of runs of equal structure, as indices, the longest work first.

    Large populations cost least for each member, but every place should have one to train.
    """
    groups: dict[tuple[str, int | None], list[int]] = {}
    for i, step in work.items():
        groups.setdefault((repr(structure(configs[i])), step), []).append(i)
    at_most = max(1, min(max_members, math.ceil(len(work) / places)))
    populations = []
    for group in groups.values():
        n = math.ceil(len(group) / at_most)
        populations += [group[len(group) * k // n : len(group) * (k + 1) // n] for k in range(n)]
    return sorted(populations, key=lambda members: -len(members) * configs[members[0]].total_steps)


class Fleet:
    """Trains runs in the processes of one executor, which begins with the first of them; a context manager.

    Args:
        launcher: what kind of executor, and how large populations may be.
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
        self,
        runs: Runs,
        watcher: Watcher,
        work: Work | None = None,
        *,
        allow_changes: bool = False,
        until: int | None = None,
    ) -> tuple[list[Outcome | None], int | None]:
        """Train every run, each as it would have been alone; one run's failure leaves the others running.

        Those that are not in `work` stay None; without it, all begin. A signal (see `signals`) ends those that train
        with status `interrupted`; those that had not begun stay None. Its number is returned with the outcomes, None if
        there was none. `allow_changes`: whether resumed runs may go on with other configs than they were trained with.
        `until`: env step at which the runs are paused; None trains them to their end. Raises UserError where the
        executor cannot work.
        """
        work = dict.fromkeys(range(len(runs.configs))) if work is None else work
        if not work:
            return [None] * len(runs.configs), None
        with stoppable() as request:
            self._executor = self._executor or executor(self._launcher)
            crew = _Crew(runs, work, self._launcher, self._executor, watcher, allow_changes=allow_changes, until=until)
            while crew.has_work:
                if request.number is None:
                    crew.begin()
                else:
                    crew.stop()
                crew.attend()
        return crew.outcomes, request.number


class _Crew:
    """The populations that wait or train, and what came of those that did."""

    def __init__(
        self,
        runs: Runs,
        work: Work,
        launcher: LauncherConfig,
        somewhere: Executor,
        watcher: Watcher,
        *,
        allow_changes: bool,
        until: int | None,
    ) -> None:
        self.outcomes: list[Outcome | None] = [None] * len(runs.configs)
        self._runs, self._work, self._executor, self._watcher = runs, work, somewhere, watcher
        self._retries = somewhere.retries if launcher.retries is None else launcher.retries
        self._allow_changes, self._until = allow_changes, until
        populations = divide(runs.configs, work, launcher.max_members, somewhere.places)
        self._cores = somewhere.cores(len(populations))
        self._waiting = deque(enumerate(populations))
        self._running: dict[int, dict[int, Path]] = {}
        self._n_losses: Counter[int] = Counter()
        self._n_populations = len(populations)

    @property
    def has_work(self) -> bool:
        """Whether anything waits or trains."""
        return bool(self._waiting or self._running)

    def begin(self) -> None:
        """Hand out what waits, as far as there are places."""
        while self._waiting and (self._executor.queues or len(self._running) < self._executor.places):
            self._begin(*self._waiting.popleft())

    def stop(self) -> None:
        """Let none begin, and ask those that train to end in good order."""
        self._waiting.clear()
        self._executor.stop()

    def attend(self) -> None:
        """Hear what has happened, or wait a little."""
        for event in self._executor.attend():
            self._take(event)
        self._watcher.tick()

    def _begin(self, population: int, members: Sequence[int]) -> None:
        """Make the members' directories, and hand those that have one to the executor."""
        directories: dict[int, Path] = {}
        again = any(self._n_losses[member] for member in members)
        for member in members:
            directory = self._runs.directory(member)
            try:
                if not again:
                    self._runs.open(member, directory)
                directories[member] = directory
            except UserError as error:
                failed = Outcome(directory, Status.FAILED, error=str(self._runs.explain(member, error)))
                self._note(population, {member: failed})
        if not directories:
            return
        job = Job(
            configs=tuple(self._runs.configs[member] for member in directories),
            directories=tuple(directories.values()),
            cores=self._cores,
            resume=self._work[members[0]] is not None,
            allow_changes=self._allow_changes,
            until=self._until,
            again=again,
        )
        self._running[population] = directories
        try:
            self._executor.begin(population, job)
        except UserError as error:
            self._fail(population, error)

    def _take(self, event: Event) -> None:
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
                # Those that nobody had taken up have left nothing; word may have come too late to keep others from it.
                begun = {member: path for member, path in directories.items() if run_directory.is_claimed(path)}
                self._end(number, {member: previous_outcome(path) for member, path in begun.items()})

    def _lose(self, population: int, cause: str) -> None:
        """Have the runs go on elsewhere, unless they were lost too often."""
        members = list(self._running[population])
        self._n_losses.update(members)
        if max(self._n_losses[member] for member in members) <= self._retries:
            del self._running[population]
            self._watcher.lost(population, members, cause)
            self._waiting.appendleft((self._n_populations, members))
            self._n_populations += 1
            return
        self._fail(population, f"its process ended without a word ({cause})")

    def _fail(self, population: int, why: UserError | str) -> None:
        """Write into the runs' directories why they could not begin or did not end."""
        self._end(
            population,
            {
                member: record_failure(
                    self._runs.configs[member],
                    directory,
                    why if isinstance(why, str) else str(self._runs.explain(member, why)),
                )
                for member, directory in self._running[population].items()
            },
        )

    def _end(self, population: int, outcomes: Mapping[int, Outcome]) -> None:
        del self._running[population]
        self._note(population, outcomes)

    def _note(self, population: int, outcomes: Mapping[int, Outcome]) -> None:
        for member, outcome in outcomes.items():
            self.outcomes[member] = outcome
            self._runs.close(member, outcome)
        self._watcher.ended(population, outcomes)
