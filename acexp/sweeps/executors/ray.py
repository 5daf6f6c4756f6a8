"""The executor that trains populations as tasks of Ray, on this machine or on a cluster."""

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
    """Trains each population in a task of Ray. See Executor."""

    queues = True
    retries = 3

    def __init__(self, launcher: LauncherConfig) -> None:
        address = launcher.ray.address or os.environ.get(ADDRESS)
        cpus = launcher.cpus or 1
        self._started_ray = not ray.is_initialized()
        if self._started_ray:
            _start(address, launcher.processes * cpus if launcher.processes else available_cores())
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        by_resource = [int(resources.get("CPU", 0)) // cpus]
        if launcher.gpus:
            by_resource.append(int(resources.get("GPU", 0) / launcher.gpus))
        self.places = min(by_resource)
        if self.places < 1:
            self.close()
            raise UserError(
                "Ray has no place for a population.",
                key="cpus" if by_resource[0] < 1 else "gpus",
                value=f"cpus={cpus}, gpus={launcher.gpus:g}",
                remedy=f"request less: Ray has {resources.get('CPU', 0):g} CPUs and {resources.get('GPU', 0):g} GPUs",
            )
        if launcher.processes:
            self.places = min(self.places, launcher.processes)
        self._cpus = cpus
        # Each task gets a new process: the state that one leaves in torch or in an engine must not reach the next.
        self._task = ray.remote(num_cpus=cpus, num_gpus=launcher.gpus, max_retries=0, max_calls=1)(_train)
        self._tasks: dict[int, ray.ObjectRef[_Result]] = {}
        self._channels = FileChannels()

    def cores(self, n_populations: int) -> int:
        """Return the number of cores that each task requests from Ray."""
        return self._cpus

    def begin(self, number: int, job: Job) -> None:
        """Submit the population to Ray, which starts it when it has resources."""
        channel = self._channels.open(number, job)
        self._tasks[number] = self._task.remote(job, str(channel.folder))

    def poll(self) -> Iterable[Event]:
        """Return the events of tasks that have ended, and those that the others report through their files."""
        over: list[ray.ObjectRef[_Result]] = []
        if self._tasks:
            over, _ = ray.wait(list(self._tasks.values()), timeout=POLL_SECONDS)
        yield from self._channels.events()
        for number in [number for number, task in self._tasks.items() if task in over]:
            event = _end(number, self._tasks.pop(number))
            self._channels.close(number)
            yield event

    def stop(self) -> None:
        """Ask the populations that train to stop, and cancel those in Ray's queue."""
        for number in self._channels.request_stop():
            ray.cancel(self._tasks[number])

    def close(self) -> None:
        """Kill the tasks that still run, and shut Ray down if it was started here."""
        for task in getattr(self, "_tasks", {}).values():
            ray.cancel(task, force=True)
        if self._started_ray:
            ray.shutdown()


def _train(job: Job, folder: str) -> _Result:
    return train_population(job, FileChannel(Path(folder)))


def _end(number: int, task: ray.ObjectRef[_Result]) -> Event:
    try:
        result = ray.get(task)
    except TaskCancelledError:
        return Dropped(number)
    except RayTaskError as error:
        # This is an error in acexp itself, because errors of runs are reported as outcomes.
        raise error.as_instanceof_cause() from None  # type: ignore[no-untyped-call]
    except RayError as error:
        return Lost(number, (str(error).splitlines() or [type(error).__name__])[0].strip())
    return Ended(number, result)


def _start(address: str | None, cpus: int) -> None:
    """Connect to Ray, or start it; raises UserError where that fails."""
    host, _, port = (address or "").rpartition(":")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    where = {"address": address} if address else {"num_cpus": cpus, "include_dashboard": False}
    try:
        if host and port.isdigit() and "://" not in host:
            # Without this check, Ray would try to connect for minutes.
            socket.create_connection((host, int(port)), timeout=CONNECTING_SECONDS).close()
        with _signal_handlers_kept():
            ray.init(**where, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise UserError(
            f"Ray cannot be reached: {(str(error).splitlines() or [type(error).__name__])[0]}",
            key="ray.address",
            value=address,
            remedy="start Ray (`ray start --head`), set its token (RAY_AUTH_MODE=token, RAY_AUTH_TOKEN=...), or "
            "omit the address to start Ray on this machine",
        ) from error


@contextmanager
def _signal_handlers_kept() -> Iterator[None]:
    """Restore the signal handlers afterwards: Ray's own for SIGTERM ends the sweep without saving it."""
    before = {number: signal.getsignal(number) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
