"""Layer 5: trains a population for somebody in another process: tells them how it goes, and stops when told to."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from acexp.config import RunConfig, identity
from acexp.config.load import import_plugins
from acexp.core.errors import UserError
from acexp.runs import checkpoint, run_directory, runner
from acexp.runs.outcome import Outcome, previous_outcome
from acexp.runs.run_directory import Standing, Status


class Progress(NamedTuple):
    """How far a population has come.

    Attributes:
        step: env steps of each member.
        steps_per_second: of all members together.
        mean_return: of the members' recent episodes; None while none has ended.
    """

    step: int
    steps_per_second: float
    mean_return: float | None


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be trained.

    Attributes:
        configs: of each member.
        directories: of each member; they exist.
        cores: that may be used.
        resume: whether the runs go on from their checkpoints, which are of the same env step.
        allow_changes: whether they may go on with other configs than they were trained with.
        until: env step at which the runs are paused; None trains them to their end.
        again: whether a worker that trained them was lost, so that nobody knows how far each had come.
    """

    configs: tuple[RunConfig, ...]
    directories: tuple[Path, ...]
    cores: int
    resume: bool = False
    allow_changes: bool = False
    until: int | None = None
    again: bool = False


class Parent(Protocol):
    """Who wants the population trained."""

    def begin(self) -> None:
        """Hear that training begins."""

    def tell(self, progress: Progress) -> None:
        """Hear how it goes; raises OSError where nobody listens any more."""

    def stop_requested(self) -> bool:
        """Whether the runs should be saved and left; raises OSError where nobody is there any more."""


class _Reporter:
    """The display of a run whose terminal belongs to another process: passes progress on, and takes orders."""

    def __init__(self, parent: Parent) -> None:
        self._parent = parent

    def start(self, title: str, total_steps: int) -> None:
        pass

    def update(self, step: int, steps_per_second: float, mean_return: float | None) -> None:
        """Raises KeyboardInterrupt when asked to stop, or when nobody listens any more."""
        try:
            if self._parent.stop_requested():
                raise KeyboardInterrupt
            self._parent.tell(Progress(step, steps_per_second, mean_return))
        except OSError:
            raise KeyboardInterrupt from None

    def close(self) -> None:
        pass


def train_population(job: Job, parent: Parent) -> list[Outcome] | UserError:
    """Train the job's runs, and say how each ended, or what a user must mend before they can be trained."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    import_plugins(job.configs[0].plugins)
    parent.begin()
    if not job.again:
        return _train(job, range(len(job.configs)), parent, resume=job.resume)
    outcomes: dict[int, Outcome] = {}
    for step, members in _left(job, outcomes).items():
        result = _train(job, members, parent, resume=step is not None)
        if isinstance(result, UserError):
            return result
        outcomes |= zip(members, result, strict=True)
        if any(outcome.status is Status.INTERRUPTED for outcome in result):
            break
    return [
        outcomes.get(member) or Outcome(directory, Status.INTERRUPTED)
        for member, directory in enumerate(job.directories)
    ]


def _train(job: Job, members: Sequence[int], parent: Parent, *, resume: bool) -> list[Outcome] | UserError:
    return runner.attempt(
        [job.configs[m] for m in members],
        [job.directories[m] for m in members],
        _Reporter(parent),
        job.cores,
        resume=resume,
        allow_changes=job.allow_changes,
        until=job.until,
    )


def _left(job: Job, outcomes: dict[int, Outcome]) -> dict[int | None, list[int]]:
    """The members that are not over, by the env step of their checkpoints, None before they began; notes the others."""
    groups: dict[int | None, list[int]] = {}
    for member, (config, directory) in enumerate(zip(job.configs, job.directories, strict=True)):
        standing = run_directory.standing(directory, identity(config))
        if standing is Standing.OVER:
            outcomes[member] = previous_outcome(directory)
        else:
            step = None if standing is Standing.FRESH else checkpoint.step(directory) or 0
            groups.setdefault(step, []).append(member)
    return groups
