"""The runs of a sweep as a fleet trains them: those that are left to do, each in its directory."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from acexp.config import RunConfig, identity
from acexp.config.places import place_of
from acexp.config.sweep import SweepJobs
from acexp.core.errors import UserError
from acexp.runs import checkpoint, run_directory
from acexp.runs.outcome import Outcome, previous_outcome
from acexp.runs.run_directory import Standing, Status


class SweepRuns:
    """See fleet.Runs."""

    def __init__(self, jobs: SweepJobs) -> None:
        self._jobs = jobs
        self.configs: Sequence[RunConfig] = [run.config for run in jobs.runs]

    def directory(self, run: int) -> Path:
        return self._jobs.directory(run)

    def left_to_do(self) -> tuple[dict[int, int | None], dict[int, Outcome]]:
        """The runs to train, with the env step that each goes on at or None; and the others, with how they ended."""
        everything: dict[int, int | None] = dict.fromkeys(range(len(self.configs)))
        # To compose every run's directory takes seconds, for nothing where no run has begun.
        if not everything or not any(path.is_dir() for path in self._jobs.directory(0).parent.glob("*")):
            return everything, {}
        work: dict[int, int | None] = {}
        earlier: dict[int, Outcome] = {}
        for run, config in enumerate(self.configs):
            directory = self._jobs.directory(run)
            standing = standing_of(config, directory, in_sweep=True)
            if isinstance(standing, Outcome):
                earlier[run] = standing
            else:
                work[run] = (checkpoint.step(directory) or 0) if standing is Standing.UNFINISHED else None
        return work, earlier

    def note(self, arguments: list[str]) -> None:
        """Write down what the sweep is, for whoever finds it unfinished."""
        if not self.configs:
            return
        folder = self.directory(0).parent
        # Where the folder cannot be written, each run says so for itself.
        with contextlib.suppress(OSError):
            run_directory.note_sweep(folder, [identity(config) for config in self.configs], arguments)

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


def standing_of(config: RunConfig, directory: Path, *, in_sweep: bool) -> Standing | Outcome:
    """Whether a run begins or goes on; or, if it does neither, how it ended or why it cannot."""
    try:
        standing = run_directory.standing(directory, identity(config))
        if standing is Standing.OVER and in_sweep:
            return previous_outcome(directory)
        if standing is Standing.ANOTHER or (standing is not Standing.FRESH and not in_sweep):
            run_directory.claim(directory)
    except UserError as taken:
        # What is there belongs to another run: not even the failure is written into it.
        return Outcome(directory, Status.FAILED, error=str(taken))
    return standing
