"""The runs of a sweep, as a fleet trains them: which are left to train, and in which directories."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from acexp.config import RunConfig, identity
from acexp.config.places import place_of
from acexp.config.sweep import SweepJobs, varying_settings
from acexp.core.errors import UserError
from acexp.runs import run_directory
from acexp.runs.claims import claim
from acexp.runs.manifest import read_manifest
from acexp.runs.outcome import Outcome, previous_outcome
from acexp.runs.run import Run
from acexp.runs.run_directory import RunState, Status
from acexp.sweeps.sweep_directory import note_sweep


class Runs(Protocol):
    """The runs that a fleet trains, by number.

    Attributes:
        configs: Their configs.
        varying: The keys of the settings that distinguish them; empty where that is not known.
    """

    configs: Sequence[RunConfig]
    varying: tuple[str, ...]

    def directory(self, run: int) -> Path:
        """Return the directory of a run."""

    def open(self, run: int, directory: Path) -> None:
        """Make the run's directory, just before it is trained; raises UserError where that is impossible."""

    def explain(self, run: int, error: UserError) -> UserError:
        """Return the error with the place that set the value at fault."""

    def close(self, run: int, outcome: Outcome) -> None:
        """Do what is due at the end of a run."""


class Decision(NamedTuple):
    """What is to be done with a run.

    Attributes:
        state: What its directory holds.
        outcome: How the run ended, or why it cannot be trained; None if it is to be trained.
    """

    state: RunState
    outcome: Outcome | None = None


def decide(run: Run, *, in_sweep: bool) -> Decision:
    """Decide whether a run begins, is resumed, or is left alone. Only a sweep resumes runs by itself."""
    state = RunState.ANOTHER_RUN
    try:
        state = run_directory.run_state(run.directory, identity(run.config))
        if state is RunState.OVER and in_sweep:
            return Decision(state, previous_outcome(run.directory))
        if state in (RunState.NEW, RunState.ANOTHER_RUN) or not in_sweep:
            claim(run.directory)
    except UserError as taken:
        # The directory belongs to another run or to the user, so not even the failure is written into it.
        return Decision(state, Outcome(run.directory, Status.FAILED, error=str(taken)))
    return Decision(state)


def planned_step(directory: Path) -> int:
    """Return the env step at which a run is expected to continue; the checkpoint itself is not read."""
    return read_manifest(directory).newest_step or 0


class SweepRuns:
    """The runs of a sweep that Hydra has composed. See Runs."""

    def __init__(self, jobs: SweepJobs) -> None:
        self._jobs = jobs
        self.configs: Sequence[RunConfig] = [run.config for run in jobs.runs]
        self.varying = varying_settings(jobs.runs)

    def directory(self, run: int) -> Path:
        return self._jobs.directory(run)

    def left_to_do(self) -> tuple[dict[int, int | None], dict[int, Outcome]]:
        """Return the runs to train, with the env step at which each continues or None; and the others' outcomes."""
        everything: dict[int, int | None] = dict.fromkeys(range(len(self.configs)))
        # To compose every run's directory takes seconds, for nothing where no run has begun.
        if not everything or not any(path.is_dir() for path in self._jobs.directory(0).parent.glob("*")):
            return everything, {}
        work: dict[int, int | None] = {}
        earlier: dict[int, Outcome] = {}
        for run, config in enumerate(self.configs):
            directory = self._jobs.directory(run)
            decision = decide(Run(config, directory), in_sweep=True)
            if decision.outcome is not None:
                earlier[run] = decision.outcome
            else:
                work[run] = planned_step(directory) if decision.state is RunState.UNFINISHED else None
        return work, earlier

    def note(self, arguments: list[str]) -> None:
        """Write sweep.json, so that an unfinished sweep can be continued."""
        if not self.configs:
            return
        folder = self.directory(0).parent
        # Where the folder cannot be written, each run reports that for itself.
        with contextlib.suppress(OSError):
            note_sweep(folder, [identity(config) for config in self.configs], arguments)

    def open(self, run: int, directory: Path) -> None:
        try:
            self._jobs.begin(run)
        except OSError as error:
            raise UserError(
                f"The run directory cannot be made: {error.strerror}.", key="hydra.sweep.dir", value=str(directory)
            ) from error

    def explain(self, run: int, error: UserError) -> UserError:
        return error.at(place_of(error.key, self._jobs.runs[run].overrides))

    def close(self, run: int, outcome: Outcome) -> None:
        self._jobs.end(run, outcome)


class StartedRuns:
    """Runs that have begun, in directories that exist. See Runs."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.configs: Sequence[RunConfig] = [run.config for run in runs]
        self.varying: tuple[str, ...] = ()
        self._directories = [run.directory for run in runs]

    def directory(self, run: int) -> Path:
        return self._directories[run]

    def open(self, run: int, directory: Path) -> None:
        pass

    def explain(self, run: int, error: UserError) -> UserError:
        return error.at(str(self._directories[run] / run_directory.CONFIG))

    def close(self, run: int, outcome: Outcome) -> None:
        pass
