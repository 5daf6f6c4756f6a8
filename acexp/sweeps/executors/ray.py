"""Populations as tasks of Ray: on this machine, or on the cluster that an address names."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import ray
from ray.exceptions import RayError, RayTaskError, TaskCancelledError

from acexp.config.launcher import LauncherConfig
from acexp.core.errors import UserError
from acexp.runs.outcome import Outcome
from acexp.sweeps.executors.base import POLL_SECONDS, Dropped, Ended, Event, Lost
from acexp.sweeps.executors.file_channel import FileChannel
from acexp.sweeps.executors.file_channels import FileChannels
from acexp.sweeps.worker import Job, train_population
from acexp.system.cores import available_cores
from acexp.system.signals import STOPPING

ADDRESS = "RAY_ADDRESS"
CONNECTING_SECONDS = 10.0
_Result = list[Outcome] | UserError


class RayExecutor:
    """A task for each population. See Executor.

    Args:
        launcher: says what each asks for, and where Ray is.
    """

    queues = True
    retries = 3

    def __init__(self, launcher: LauncherConfig) -> None:
        address = launcher.ray.address or os.environ.get(ADDRESS)
        cpus = launcher.cpus or 1
        self._starts_it = not ray.is_initialized()
        if self._starts_it:
            _start(address, launcher.processes * cpus if launcher.processes else available_cores())
        there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        by_resource = [int(there.get("CPU", 0)) // cpus]
        if launcher.gpus:
            by_resource.append(int(there.get("GPU", 0) / launcher.gpus))
        self.places = min(by_resource)
        if self.places < 1:
            self.close()
            raise UserError(
                "Ray has no place for a population.",
                key="cpus" if by_resource[0] < 1 else "gpus",
                value=f"cpus={cpus}, gpus={launcher.gpus:g}",
                remedy=f"ask for less: Ray has {there.get('CPU', 0):g} CPUs and {there.get('GPU', 0):g} GPUs",
            )
        if launcher.processes:
            self.places = min(self.places, launcher.processes)
        self._cpus = cpus
        # A process for each task: what one leaves behind in torch or in an engine must not reach the next.
        self._task = ray.remote(num_cpus=cpus, num_gpus=launcher.gpus, max_retries=0, max_calls=1)(_train)
        self._tasks: dict[int, ray.ObjectRef[_Result]] = {}
        self._channels = FileChannels()

    def cores(self, n_populations: int) -> int:
        """As many as are asked of Ray."""
        return self._cpus

    def begin(self, number: int, job: Job) -> None:
        """Hand the population to Ray, which gives it a place when there is one."""
        channel = self._channels.open(number, job)
        self._tasks[number] = self._task.remote(job, str(channel.folder))

    def attend(self) -> Iterable[Event]:
        """Ask Ray what is over, and the mailboxes how the others are."""
        over: list[ray.ObjectRef[_Result]] = []
        if self._tasks:
            over, _ = ray.wait(list(self._tasks.values()), timeout=POLL_SECONDS)
        yield from self._channels.news()
        for number in [number for number, task in self._tasks.items() if task in over]:
            event = _end(number, self._tasks.pop(number))
            self._channels.close(number)
            yield event

    def stop(self) -> None:
        """Leave word for those that train; take those that wait out of Ray's queue."""
        for number in self._channels.request_stop():
            ray.cancel(self._tasks[number])

    def close(self) -> None:
        """Kill what still runs, and Ray if it was started here."""
        for task in getattr(self, "_tasks", {}).values():
            ray.cancel(task, force=True)
        if self._starts_it:
            ray.shutdown()


def _train(job: Job, folder: str) -> _Result:
    return train_population(job, FileChannel(Path(folder)))


def _end(number: int, task: ray.ObjectRef[_Result]) -> Event:
    try:
        result = ray.get(task)
    except TaskCancelledError:
        return Dropped(number)
    except RayTaskError as error:
        # One of ours: the runs' own are outcomes.
        raise error.as_instanceof_cause() from None  # type: ignore[no-untyped-call]
    except RayError as error:
        return Lost(number, (str(error).splitlines() or [type(error).__name__])[0].strip())
    return Ended(number, result)


def _start(address: str | None, cpus: int) -> None:
    """Raises UserError where there is no cluster."""
    host, _, port = (address or "").rpartition(":")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    where = {"address": address} if address else {"num_cpus": cpus, "include_dashboard": False}
    try:
        if host and port.isdigit() and "://" not in host:
            # Ray would try for minutes.
            socket.create_connection((host, int(port)), timeout=CONNECTING_SECONDS).close()
        with _our_signals():
            ray.init(**where, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise UserError(
            f"Ray cannot be reached: {(str(error).splitlines() or [type(error).__name__])[0]}",
            key="ray.address",
            value=address,
            remedy="start it (`ray start --head`), give its token (RAY_AUTH_MODE=token, RAY_AUTH_TOKEN=...), or "
            "leave the address out to start it on this machine",
        ) from error


@contextmanager
def _our_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself, and would end the sweep without saving it."""
    before = {number: signal.getsignal(number) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
