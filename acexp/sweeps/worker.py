"""Trains a population on behalf of another process, reports its progress to it, and stops when it asks for that."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from acexp.config.load import import_plugins
from acexp.core.errors import UserError
from acexp.runs import run_directory, runner
from acexp.runs.outcome import Outcome, previous_outcome
from acexp.runs.run import Run, TrainOptions
from acexp.system.quiet import quiet_warnings

ASK_SECONDS = 0.2
"""How often a worker asks whether it should stop; on other machines, that looks for a file."""


class Progress(NamedTuple):
    """How far a population has come.

    Attributes:
        step: Env steps of each member.
        steps_per_second: Env steps per second of all members together.
        mean_return: Mean return of the members' recent episodes; None until one has ended.
        first_step: The env step at which training began or was resumed.
    """

    step: int
    steps_per_second: float
    mean_return: float | None
    first_step: int = 0


@dataclass(frozen=True, slots=True)
class Job:
    """A population that a worker is to train: its runs, whose directories exist, and how."""

    runs: tuple[Run, ...]
    options: TrainOptions


class Parent(Protocol):
    """The connection from a worker to the process that started it."""

    def begin(self) -> None:
        """Report that training begins."""

    def report(self, progress: Progress) -> None:
        """Report progress; raises OSError if the parent process is gone."""

    def stop_requested(self) -> bool:
        """Return True once the parent has asked this worker to save its runs and stop.

        Raises OSError if the parent process is gone.
        """


class _Reporter:
    """The display of a run that another process shows: passes progress on, and learns whether to stop."""

    def __init__(self, parent: Parent) -> None:
        self._parent = parent
        self._should_stop = False
        self._asked_at = 0.0
        self._first_step = 0

    def start(self, title: str, total_steps: int, first_step: int) -> None:
        self._first_step = first_step

    def note(self, line: str) -> None:
        pass

    def update(self, step: int, steps_per_second: float, mean_return: float | None) -> None:
        try:
            self._parent.report(Progress(step, steps_per_second, mean_return, self._first_step))
        except OSError:
            self._should_stop = True

    def should_stop(self) -> bool:
        """Return True if the parent has asked for it, or is gone; it is asked once in ASK_SECONDS."""
        now = time.monotonic()
        if not self._should_stop and now - self._asked_at >= ASK_SECONDS:
            self._asked_at = now
            try:
                self._should_stop = self._parent.stop_requested()
            except OSError:
                self._should_stop = True
        return self._should_stop

    def close(self) -> None:
        pass


def train_population(job: Job, parent: Parent) -> list[Outcome] | UserError:
    """Train the job's runs, and return how each ended, or the mistake that keeps them from beginning."""
    quiet_warnings()
    import_plugins(job.runs[0].config.plugins)
    parent.begin()
    reporter = _Reporter(parent)
    # Another worker may have ended some of the runs before it was lost.
    over = [None if job.options.allow_changes else _previous(run) for run in job.runs]
    left = [run for run, outcome in zip(job.runs, over, strict=True) if outcome is None]
    result = runner.attempt(left, job.options, reporter, reporter.should_stop) if left else []
    if isinstance(result, UserError):
        return result
    trained = iter(result)
    return [outcome or next(trained) for outcome in over]


def _previous(run: Run) -> Outcome | None:
    """Return the outcome of a run that is over, None for any other."""
    if not run_directory.is_claimed(run.directory):
        return None
    is_over = run_directory.read_status(run.directory).get("status") in run_directory.OVER
    return previous_outcome(run.directory) if is_over else None
