"""Layer 5: how a run ended, and what its directory keeps of that."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from acexp.config import RunConfig, identity, to_yaml
from acexp.core.errors import UserError
from acexp.runs import run_directory
from acexp.runs.run_directory import Status
from acexp.system.lock import is_held


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    Attributes:
        directory: the run's.
        status: see Status.
        steps: env steps trained.
        steps_per_second: of the run's whole population.
        seconds: spent training.
        mean_return: of the last 100 episodes; None if none has ended.
        resume: `exact` or `approximate` for a run that went on from a checkpoint, else None.
        error: what went wrong, in a line or a few.
        signal: the number of the signal that ended it; None if none did.
    """

    directory: Path
    status: Status
    steps: int = 0
    steps_per_second: float = 0.0
    seconds: float = 0.0
    mean_return: float | None = None
    resume: str | None = None
    error: str | None = None
    signal: int | None = None


def previous_outcome(directory: Path) -> Outcome:
    """How a run that is over ended, as its directory tells."""
    told = run_directory.read_status(directory)
    return Outcome(directory, Status(told["status"]), steps=told.get("steps", 0), error=told.get("error"))


def record_failure(config: RunConfig, directory: Path, reason: str) -> Outcome:
    """Record, in its directory, why a run could not begin or did not end."""
    if is_held(directory):
        return Outcome(directory, Status.FAILED, error=reason)  # another process's run: it is not ours to write
    try:
        if not run_directory.is_claimed(directory):
            run_directory.begin(directory, to_yaml(config), identity(config), config.torch_threads or 1)
        run_directory.end(directory, Status.FAILED, {"error": reason})
    except (UserError, OSError) as worse:
        reason = str(worse)
    return Outcome(directory, Status.FAILED, error=reason)


def write_traceback(directories: Sequence[Path]) -> None:
    """Keep where the error that is being handled came from."""
    for directory in directories:
        (directory / run_directory.ERROR_LOG).write_text(traceback.format_exc(), encoding="utf-8")


def in_words(failure: BaseException) -> str:
    """An error of ours, in a line."""
    return f"{type(failure).__name__}: {failure}"
