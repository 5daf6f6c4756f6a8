"""Populations as processes of this machine.

A process that is killed takes its own population along and nothing else. The processes are forked from a clean server
that has imported acexp already (multiprocessing's `forkserver`), so starting one costs milliseconds.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess

import torch

from acexp.config.launcher import LauncherConfig
from acexp.core.errors import UserError
from acexp.runs.outcome import Outcome
from acexp.sweeps.executors.base import POLL_SECONDS, Began, Ended, Event, Lost, Progressed
from acexp.sweeps.worker import Job, Progress, train_population
from acexp.system.cores import available_cores
from acexp.system.signals import STOPPING

STOP = "stop"
"""What a parent sends."""


def prepare() -> ForkServerContext:
    """Start the server that processes are forked from. It takes seconds; called early, they pass beside other work.

    Neither the server nor what it forks hears the signals that ask for an end: those may reach the whole group, and
    would end imports in tracebacks and runs in the middle of a save. The parent passes on what they ask.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    resource_tracker.ensure_running()  # it unblocks the signal, so it has to come first
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    connection: Connection
    number: int
    place: int
    result: list[Outcome] | UserError | None = None
    told_to_stop: bool = False


class LocalExecutor:
    """A process for each population. See Executor.

    Args:
        launcher: says how many at a time.
    """

    queues = False
    retries = 0

    def __init__(self, launcher: LauncherConfig) -> None:
        self.places = launcher.processes or available_cores()
        self._cpus = launcher.cpus
        self._context = prepare()
        self._running: list[_Worker] = []
        self._begun: list[Event] = []

    def cores(self, n_populations: int) -> int:
        """This machine's, divided among those that train side by side."""
        return self._cpus or max(1, available_cores() // max(1, min(self.places, n_populations)))

    def begin(self, number: int, job: Job) -> None:
        """Start a process."""
        taken = {worker.place for worker in self._running}
        place = next(place for place in itertools.count() if place not in taken)
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, job, place), name=f"acexp-population-{number}")
        process.start()
        theirs.close()
        self._running.append(_Worker(process, ours, number, place))
        self._begun.append(Began(number))

    def attend(self) -> Iterable[Event]:
        """Hear what the processes have to say, or wait a little."""
        yield from self._begun
        self._begun.clear()
        by_connection = {worker.connection: worker for worker in self._running}
        for connection in wait(list(by_connection), POLL_SECONDS):
            worker = by_connection[connection]  # type: ignore[index]
            try:
                message = worker.connection.recv()
            except (EOFError, OSError):
                yield self._reap(worker)
                continue
            if isinstance(message, Progress):
                yield Progressed(worker.number, message)
            else:
                worker.result = message

    def stop(self) -> None:
        """Ask every process to end its runs in good order."""
        for worker in self._running:
            if not worker.told_to_stop:
                worker.told_to_stop = True
                with contextlib.suppress(OSError):
                    worker.connection.send(STOP)

    def close(self) -> None:
        """Kill what still runs; only an error of ours leaves anything to do here."""
        for worker in self._running:
            worker.process.kill()
            worker.process.join()

    def _reap(self, worker: _Worker) -> Ended | Lost:
        """A process has ended; one that could not say what came of its runs was killed."""
        worker.process.join()
        worker.connection.close()
        self._running.remove(worker)
        if worker.result is None:
            return Lost(worker.number, _cause(worker.process.exitcode))
        return Ended(worker.number, worker.result)


def _cause(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        return f"{name}; out of memory?" if name == "SIGKILL" else name
    return f"exit code {exit_code}"


class _Pipe:
    """The parent at the other end of a pipe. See worker.Parent."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin(self) -> None:
        pass

    def tell(self, progress: Progress) -> None:
        self._connection.send(progress)

    def stop_requested(self) -> bool:
        return self._connection.poll()


def _serve(connection: Connection, job: Job, place: int) -> None:
    """What a process does. Signals may reach it too, but its parent tells it when to stop."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    if torch.accelerator.is_available():
        # `device=auto` takes the current one: populations side by side are dealt out to all that there are.
        torch.accelerator.set_device_index(place % torch.accelerator.device_count())
    result = train_population(job, _Pipe(connection))
    with contextlib.suppress(OSError):
        connection.send(result)
    connection.close()
