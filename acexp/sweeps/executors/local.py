"""The executor that trains populations in processes of this machine.

When a process is killed, only its own population is lost.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING

import torch

from acexp.config.launcher import LauncherConfig
from acexp.core.errors import UserError
from acexp.runs.outcome import Outcome
from acexp.sweeps.executors.base import POLL_SECONDS, Began, Ended, Event, Lost, Progressed, expected_places
from acexp.sweeps.worker import Job, Progress, train_population
from acexp.system import processes
from acexp.system.cores import available_cores

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, SpawnContext

STOP = "stop"
"""The message that asks a worker to stop."""


def prepare_processes() -> ForkServerContext | SpawnContext:
    """Return what starts the processes, which import acexp in the background; see system.processes."""
    return processes.prepare_processes(__name__)


@dataclass(slots=True)
class _Worker:
    """A process that trains a population, with the parent's end of the pipe to it."""

    process: BaseProcess
    connection: Connection
    number: int
    place: int
    result: list[Outcome] | UserError | None = None
    is_stopping: bool = False


class LocalExecutor:
    """Trains each population in a process of its own. See Executor."""

    queues = False
    retries = 0

    def __init__(self, launcher: LauncherConfig) -> None:
        self.places = expected_places(launcher)
        self._cpus = launcher.cpus
        self._context = prepare_processes()
        self._running: list[_Worker] = []
        self._begun: list[Event] = []

    def cores(self, n_populations: int) -> int:
        """Return `cpus` if it is set, else this machine's cores divided by the populations that train side by side."""
        return self._cpus or max(1, available_cores() // max(1, min(self.places, n_populations)))

    def begin(self, number: int, job: Job) -> None:
        """Start a process that trains the population."""
        taken = {worker.place for worker in self._running}
        place = next(place for place in itertools.count() if place not in taken)
        connection, worker_end = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(worker_end, job, place), name=f"acexp-population-{number}")
        with processes.starting(self._context):
            process.start()
        worker_end.close()
        self._running.append(_Worker(process, connection, number, place))
        self._begun.append(Began(number))

    def poll(self) -> Iterable[Event]:
        """Return the events that the processes report; waits up to POLL_SECONDS for one."""
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
        """Ask every process to save its runs and stop."""
        for worker in self._running:
            if not worker.is_stopping:
                worker.is_stopping = True
                with contextlib.suppress(OSError):
                    worker.connection.send(STOP)

    def close(self) -> None:
        """Kill the processes that still run, which only an error in acexp itself can leave behind."""
        for worker in self._running:
            worker.process.kill()
            worker.process.join()

    def _reap(self, worker: _Worker) -> Ended | Lost:
        """Handle the end of a process; one that has not reported an outcome was killed."""
        worker.process.join()
        worker.connection.close()
        self._running.remove(worker)
        if worker.result is None:
            return Lost(worker.number, processes.cause_of_end(worker.process.exitcode))
        return Ended(worker.number, worker.result)


class _Pipe:
    """A worker's connection to its parent through a pipe. See worker.Parent."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin(self) -> None:
        pass

    def report(self, progress: Progress) -> None:
        self._connection.send(progress)

    def stop_requested(self) -> bool:
        return self._connection.poll()


def _serve(connection: Connection, job: Job, place: int) -> None:
    """Train a population in this process. Signals are ignored, because the parent sends STOP."""
    processes.ignore_stopping()
    if torch.accelerator.is_available():
        # `device=auto` takes the current device, so populations that train side by side use all devices in turn.
        torch.accelerator.set_device_index(place % torch.accelerator.device_count())
    result = train_population(job, _Pipe(connection))
    with contextlib.suppress(OSError):
        connection.send(result)
    connection.close()
