"""Layer 5: many runs, as populations in processes of their own.

A process that is killed takes its own population along and nothing else. The processes are forked from a clean server
that has imported acexp already (multiprocessing's `forkserver`), so starting one costs milliseconds.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import signal
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol

from acexp.config import RunConfig
from acexp.config.schema import structure
from acexp.core.cores import available_cores
from acexp.core.errors import UserError
from acexp.outcome import Outcome, record_failure
from acexp.run_directory import Status
from acexp.signals import STOPPING, stoppable
from acexp.worker import STOP, Progress, train_population

POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Fleet:
    """How many processes train, and how large their populations may become.

    Attributes:
        max_members: of one population.
        processes: at a time; None takes one per core.
        allow_changes: whether resumed runs may go on with other configs than they were trained with.
    """

    max_members: int = 16
    processes: int | None = None
    allow_changes: bool = False

    def divide(self, configs: Sequence[RunConfig], work: Mapping[int, int | None] | None = None) -> list[list[int]]:
        """Populations of runs of equal structure, as indices, the longest work first.

        `work` holds the runs to train, and the env step that each is resumed at, None for those that begin; without it,
        all begin.

        Large populations cost least for each member, but every process should have one to train.
        """
        work = dict.fromkeys(range(len(configs))) if work is None else work
        groups: dict[tuple[str, int | None], list[int]] = {}
        for i, step in work.items():
            groups.setdefault((repr(structure(configs[i])), step), []).append(i)
        at_most = max(1, min(self.max_members, math.ceil(len(work) / self._processes)))
        populations = []
        for group in groups.values():
            n = math.ceil(len(group) / at_most)
            populations += [group[len(group) * k // n : len(group) * (k + 1) // n] for k in range(n)]
        return sorted(populations, key=lambda members: -len(members) * configs[members[0]].total_steps)

    @property
    def _processes(self) -> int:
        return self.processes or available_cores()

    def side_by_side(self, n_populations: int) -> int:
        """How many processes there is work for."""
        return max(1, min(self._processes, n_populations))


class Watcher(Protocol):
    """What wants to know how the populations are doing."""

    def began(self, population: int, members: Sequence[int]) -> None:
        """A population's process has been started."""

    def progressed(self, population: int, progress: Progress) -> None:
        """It trains."""

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


def prepare() -> ForkServerContext:
    """Start the server that processes are forked from. It takes seconds; called early, they pass beside other work.

    Neither the server nor what it forks hears the signals that ask for an end: those may reach the whole group, and
    would end imports in tracebacks and runs in the middle of a save. The parent passes on what they ask.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([train_population.__module__])
    resource_tracker.ensure_running()  # it unblocks the signal, so it has to come first
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


def train_all(
    runs: Runs, fleet: Fleet, watcher: Watcher, work: Mapping[int, int | None] | None = None
) -> tuple[list[Outcome | None], int | None]:
    """Train every run, each as it would have been alone; one run's failure leaves the others running.

    `work` is what `Fleet.divide` takes: which runs, and where they go on. Those that are not in it stay None.
    A signal (see `signals`) ends those that train with status `interrupted`; those that had not begun stay None.
    Its number is returned with the outcomes, None if there was none.
    """
    work = dict.fromkeys(range(len(runs.configs))) if work is None else work
    populations = fleet.divide(runs.configs, work)
    n_processes = fleet.side_by_side(len(populations))
    crew = _Crew(runs, work, available_cores() // n_processes, watcher, allow_changes=fleet.allow_changes)
    waiting = deque(enumerate(populations))
    with stoppable() as request:
        try:
            while waiting or crew.running:
                while waiting and len(crew.running) < n_processes:
                    crew.begin(*waiting.popleft())
                crew.attend()
                if request.number is not None:
                    waiting.clear()
                    crew.stop()
        finally:
            crew.kill()
    return crew.outcomes, request.number


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    connection: Connection
    population: int
    directories: dict[int, Path]
    result: list[Outcome] | UserError | None = None
    told_to_stop: bool = False


class _Crew:
    """The processes that train at the moment, and what came of those that did."""

    def __init__(
        self, runs: Runs, work: Mapping[int, int | None], cores_each: int, watcher: Watcher, *, allow_changes: bool
    ) -> None:
        self.running: list[_Worker] = []
        self.outcomes: list[Outcome | None] = [None] * len(runs.configs)
        self._runs = runs
        self._work = work
        self._cores_each = max(1, cores_each)
        self._watcher = watcher
        self._allow_changes = allow_changes
        self._context = prepare()

    def begin(self, population: int, members: Sequence[int]) -> None:
        """Make the members' directories, and start a process for those that have one."""
        directories: dict[int, Path] = {}
        for member in members:
            directory = self._runs.directory(member)
            try:
                self._runs.open(member, directory)
                directories[member] = directory
            except UserError as error:
                explained = str(self._runs.explain(member, error))
                self._note(population, {member: Outcome(directory, Status.FAILED, error=explained)})
        if not directories:
            return
        self._watcher.began(population, list(directories))
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=train_population,
            args=(
                theirs,
                [self._runs.configs[member] for member in directories],
                list(directories.values()),
                self._cores_each,
                self._work[members[0]] is not None,
                self._allow_changes,
            ),
            name=f"acexp-population-{population}",
        )
        process.start()
        theirs.close()
        self.running.append(_Worker(process, ours, population, directories))

    def attend(self) -> None:
        """Hear what the processes have to say, or wait a little."""
        by_connection = {worker.connection: worker for worker in self.running}
        for connection in wait(list(by_connection), POLL_SECONDS):
            worker = by_connection[connection]  # type: ignore[index]
            try:
                message = worker.connection.recv()
            except (EOFError, OSError):
                self._bury(worker)
                continue
            if isinstance(message, Progress):
                self._watcher.progressed(worker.population, message)
            else:
                worker.result = message
        self._watcher.tick()

    def stop(self) -> None:
        """Ask every process to end its runs in good order."""
        for worker in self.running:
            if not worker.told_to_stop:
                worker.told_to_stop = True
                with contextlib.suppress(OSError):
                    worker.connection.send(STOP)

    def kill(self) -> None:
        """End what still runs; only an error of ours leaves anything to do here."""
        for worker in self.running:
            worker.process.kill()
            worker.process.join()

    def _bury(self, worker: _Worker) -> None:
        """A process has ended; one that could not say what came of its runs was killed."""
        worker.process.join()
        worker.connection.close()
        self.running.remove(worker)
        if isinstance(worker.result, list):
            outcomes = dict(zip(worker.directories, worker.result, strict=True))
        else:
            death = f"its process ended without a word ({_cause(worker.process.exitcode)})"
            outcomes = {
                member: record_failure(
                    self._runs.configs[member],
                    directory,
                    str(self._runs.explain(member, worker.result)) if worker.result else death,
                )
                for member, directory in worker.directories.items()
            }
        self._note(worker.population, outcomes)

    def _note(self, population: int, outcomes: Mapping[int, Outcome]) -> None:
        for member, outcome in outcomes.items():
            self.outcomes[member] = outcome
            self._runs.close(member, outcome)
        self._watcher.ended(population, outcomes)


def _cause(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        return f"{name}; out of memory?" if name == "SIGKILL" else name
    return f"exit code {exit_code}"
