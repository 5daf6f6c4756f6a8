"""The interface of executors, which train populations in other processes and report events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from acexp.config.launcher import LauncherConfig
from acexp.core.errors import UserError
from acexp.runs.outcome import Outcome
from acexp.sweeps.worker import Job, Progress
from acexp.system.cores import available_cores

POLL_SECONDS = 0.5


class Began(NamedTuple):
    """A population has begun to train."""

    number: int


class Progressed(NamedTuple):
    """A population has reported its progress."""

    number: int
    progress: Progress


class Ended(NamedTuple):
    """A population has ended, with its runs' outcomes in their order, or with a mistake that kept it from beginning."""

    number: int
    result: list[Outcome] | UserError


class Lost(NamedTuple):
    """A population's worker has ended without reporting an outcome; `cause` is what is known of the reason."""

    number: int
    cause: str


class Dropped(NamedTuple):
    """A population was still waiting in the executor's queue when everything was stopped."""

    number: int


Event = Began | Progressed | Ended | Lost | Dropped


def expected_places(launcher: LauncherConfig) -> int:
    """Return how many populations can train at a time, as far as is known before the executor is opened."""
    return launcher.processes or (1 if launcher.executor == "slurm" else available_cores())


class Executor(Protocol):
    """Trains populations in other processes, on this machine or on others.

    Attributes:
        places: Number of populations that can train at a time, as far as is known.
        queues: Whether the executor accepts all populations at once and lets them wait by itself.
        retries: How often a population whose worker was lost is started again, by default.
    """

    places: int
    queues: bool
    retries: int

    def cores(self, n_populations: int) -> int:
        """Return the number of CPU cores available to each of `n_populations` populations."""

    def begin(self, number: int, job: Job) -> None:
        """Train a population, or queue it; raises UserError where that is impossible."""

    def poll(self) -> Iterable[Event]:
        """Return the events since the last call; waits up to POLL_SECONDS for one."""

    def stop(self) -> None:
        """Ask every population that trains to save and stop, and drop those that wait."""

    def close(self) -> None:
        """Kill what still runs, and free everything."""
