"""How a run ended, and what its directory keeps of that."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from acexp.config import identity, to_yaml
from acexp.core.errors import UserError
from acexp.runs import run_directory
from acexp.runs.claims import foreign_files
from acexp.runs.run import Run
from acexp.runs.run_directory import Status
from acexp.system.lock import is_locked
from acexp.system.memory import lack_of_memory
from acexp.system.user_code import message_of


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    Attributes:
        directory: The run's directory.
        status: The run's status, see Status.
        steps: Env steps trained.
        steps_per_second: Env steps per second of the run's whole population.
        seconds: Seconds spent training.
        mean_return: Mean return of the last 100 episodes; None if no episode has ended.
        resume: EXACT or APPROXIMATE for a run that continued from a checkpoint, else None.
        obstacle: Why it did not continue exactly, else None.
        error: What went wrong, in one or a few lines.
        signal: Number of the signal that ended the run; None if none did.
        notes: What else the user should know, one sentence each.
    """

    directory: Path
    status: Status
    steps: int = 0
    steps_per_second: float = 0.0
    seconds: float = 0.0
    mean_return: float | None = None
    resume: str | None = None
    obstacle: str | None = None
    error: str | None = None
    signal: int | None = None
    notes: tuple[str, ...] = ()


def previous_outcome(directory: Path) -> Outcome:
    """Return how a run that is over ended, as its status.json says."""
    status = run_directory.read_status(directory)
    return Outcome(directory, Status(status["status"]), steps=status.get("steps", 0), error=status.get("error"))


def record_failure(run: Run, reason: str) -> Outcome:
    """Write into the run's directory why it could not begin or did not end, and return that as its outcome."""
    if is_locked(run.directory) or foreign_files(run.directory):
        # Another process trains this run, or the directory is not the run's: nothing is written into it.
        return Outcome(run.directory, Status.FAILED, error=reason)
    try:
        if not run_directory.is_claimed(run.directory):
            config = run.config
            run_directory.begin(run.directory, to_yaml(config), identity(config), config.torch_threads or 1)
        run_directory.end(run.directory, Status.FAILED, {"error": reason})
    except (UserError, OSError) as worse:
        reason = str(worse)
    return Outcome(run.directory, Status.FAILED, error=reason)


def write_traceback(runs: Sequence[Run]) -> None:
    """Write the traceback of the exception that is being handled into every run's error.log."""
    for run in runs:
        run.directory.mkdir(parents=True, exist_ok=True)
        log = run.directory / run_directory.ERROR_LOG
        log.write_text(traceback.format_exc(), encoding="utf-8", errors="backslashreplace")


def in_words(failure: BaseException) -> str:
    """Return an exception's type and message; a UserError has a message that stands alone."""
    failure = lack_of_memory(failure) or failure
    message = message_of(failure)
    return message if isinstance(failure, UserError) else f"{type(failure).__name__}: {message}"
