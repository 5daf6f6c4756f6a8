"""What runs continue from, and whether they may."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acexp.algorithm.assembly import resolve
from acexp.algorithm.population import MemberState, Population, load
from acexp.config import RunConfig, differences, essence, to_yaml
from acexp.core.errors import UserError
from acexp.metrics import Recorder
from acexp.runs import checkpoint, run_directory
from acexp.runs.run import Run
from acexp.runs.run_directory import APPROXIMATE, EXACT


@dataclass(frozen=True, slots=True)
class Resumption:
    """The checkpoints of a population's runs, all of the same env step; empty for runs that begin.

    Attributes:
        step: The env step of the checkpoints; 0 where there are none.
        members: The members' states; empty where there are no checkpoints.
        recorders: The recorder's state for each member.
        changes: The changes of each member's config since its checkpoint.
        newest: The env step of each member's newest checkpoint, which could not be read if it is another one.
    """

    step: int = 0
    members: tuple[MemberState, ...] = ()
    recorders: tuple[dict[str, Any], ...] = ()
    changes: tuple[list[str], ...] = ()
    newest: tuple[int | None, ...] = ()

    @property
    def kind(self) -> str | None:
        """EXACT if the environments continue where they were, APPROXIMATE if they begin new episodes, None if empty."""
        if not self.members:
            return None
        return EXACT if all(member["environments"] is not None for member in self.members) else APPROXIMATE

    @property
    def new_episodes_at(self) -> int:
        """The env step at which new episodes begin; 0 if they are the first ones, or continue."""
        return self.step if self.kind == APPROXIMATE else 0

    def damage(self, member: int) -> str | None:
        """Return a sentence about the newest checkpoint of a member if the one before it had to be taken."""
        newest = self.newest[member] if self.newest else None
        if newest in (None, self.step):
            return None
        return (
            f"The newest checkpoint, of env step {newest:,}, is damaged or incomplete: the run continued from the one "
            f"before it, of env step {self.step:,}."
        )

    def restore(self, population: Population) -> None:
        """Load the members' states into a population that was just built."""
        if self.members:
            load(population, self.members)

    def restore_recorder(self, recorder: Recorder) -> None:
        """Load the members' measurements into a recorder that was just built."""
        if self.recorders:
            recorder.load(self.recorders)

    def refuse_changes(self, directories: Sequence[Path]) -> None:
        """Raise UserError if a member's config is not the one that its checkpoint was trained with."""
        for changed, directory in zip(self.changes, directories, strict=False):
            _refuse(changed, directory)

    def note(self, member: int, directory: Path) -> None:
        """Write into a member's directory that its run continues, how, and what was changed."""
        run_directory.reopen(directory, self.kind)
        if self.changes and self.changes[member]:
            run_directory.note_changes(directory, self.step, self.changes[member])


def load_resumptions(runs: Sequence[Run]) -> list[tuple[list[int], Resumption]]:
    """Read the checkpoints of runs with resolved configs, grouped by their env steps, with the numbers of the runs.

    Raises UserError where a checkpoint cannot be read.
    """
    contents = [checkpoint.read(run.directory) for run in runs]
    by_step: dict[int | None, list[int]] = {}
    for m, content in enumerate(contents):
        by_step.setdefault(None if content is None else content["step"], []).append(m)
    groups = []
    for step, members in by_step.items():
        saved = [content for content in (contents[m] for m in members) if content is not None]
        resumption = _resumption(step or 0, saved, [runs[m] for m in members]) if saved else Resumption()
        groups.append((members, resumption))
    return groups


def _resumption(step: int, saved: Sequence[dict[str, Any]], runs: Sequence[Run]) -> Resumption:
    changes = tuple(_changes(content["config"], run.config) for content, run in zip(saved, runs, strict=True))
    members = [content["member"] for content in saved]
    for member, changed in zip(members, changes, strict=True):
        if any(change.startswith(("env.", "engine.")) for change in changed):
            member["environments"] = None  # they belong to other environments
    newest = tuple(checkpoint.read_manifest(run.directory).newest_step for run in runs)
    return Resumption(step, tuple(members), tuple(content["recorder"] for content in saved), changes, newest)


def refuse_changes(run: Run) -> None:
    """Raise UserError if the run's config is not the one that its checkpoint was trained with.

    Only checkpoint.json is read, unless an earlier version wrote it, which left the config to the checkpoint.
    """
    manifest = checkpoint.read_manifest(run.directory)
    config = manifest.config
    if config is None and manifest.steps:
        content = checkpoint.read(run.directory)
        config = None if content is None else content["config"]
    if config is not None:
        _refuse(_changes(config, resolve(run.config)), run.directory)


def _changes(trained_with: str, config: RunConfig) -> list[str]:
    return differences(trained_with, to_yaml(essence(config)))


def _refuse(changes: Sequence[str], directory: Path) -> None:
    if changes:
        raise UserError(
            "The config is not the one that this run was trained with:\n  " + "\n  ".join(changes),
            value=str(directory),
            remedy="undo the change, or add --allow-changes to `acexp resume`",
        )
