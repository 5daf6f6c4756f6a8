"""What an executor is: it trains populations somewhere else, and tells what becomes of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from acexp.core.errors import UserError
from acexp.runs.outcome import Outcome
from acexp.sweeps.worker import Job, Progress

POLL_SECONDS = 0.5


class Began(NamedTuple):
    """A population trains."""

    number: int


class Progressed(NamedTuple):
    """It has come this far."""

    number: int
    progress: Progress


class Ended(NamedTuple):
    """Its runs are over, in their order; or a user's mistake keeps them from beginning."""

    number: int
    result: list[Outcome] | UserError


class Lost(NamedTuple):
    """Its worker ended without a word; what is known of the cause."""

    number: int
    cause: str


class Dropped(NamedTuple):
    """It was still waiting for its turn when everything was told to stop."""

    number: int


Event = Began | Progressed | Ended | Lost | Dropped


class Executor(Protocol):
    """Trains populations in other processes, here or on other machines.

    Attributes:
        places: populations that can train at a time, as far as is known.
        queues: whether it takes all populations at once, and lets them wait for their turn by itself.
        retries: how often a population whose worker was lost should go on elsewhere.
    """

    places: int
    queues: bool
    retries: int

    def cores(self, n_populations: int) -> int:
        """That each of so many populations may use."""

    def begin(self, number: int, job: Job) -> None:
        """Train a population, or let it wait for its turn; raises UserError where that cannot be."""

    def attend(self) -> Iterable[Event]:
        """What has happened since it was last asked; waits up to POLL_SECONDS for something to happen."""

    def stop(self) -> None:
        """Ask every population to end in good order, and drop those that wait."""

    def close(self) -> None:
        """Kill what still runs, and leave nothing behind."""
