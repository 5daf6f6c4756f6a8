"""Layer 5: what runs go on from, and whether they may."""

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
from acexp.runs.run_directory import APPROXIMATE, EXACT


@dataclass(frozen=True, slots=True)
class Resumption:
    """The checkpoints of a population's runs, all of the same env step.

    Attributes:
        step: where they stand; 0 where nothing had been saved yet.
        members: their states; empty where nothing had been saved yet.
        recorders: what had been gathered since each one's last log.
        changes: of each one's config since then.
    """

    step: int
    members: tuple[MemberState, ...]
    recorders: tuple[dict[str, Any], ...]
    changes: tuple[list[str], ...]

    @property
    def kind(self) -> str | None:
        """Whether environments go on where they were, or begin new episodes; None where nothing had been saved."""
        if not self.members:
            return None
        return EXACT if all(member["environments"] is not None for member in self.members) else APPROXIMATE

    @property
    def new_episodes_at(self) -> int:
        """The env step at which new episodes begin; 0 where they are the first ones, or go on."""
        return self.step if self.kind == APPROXIMATE else 0

    def restore(self, population: Population) -> None:
        """Put the members' states back."""
        if self.members:
            load(population, self.members)

    def restore_recorder(self, recorder: Recorder) -> None:
        """Put back what had been gathered."""
        if self.recorders:
            recorder.load(self.recorders)

    def note(self, directories: Sequence[Path]) -> None:
        """Write into the runs' directories that they go on, how, and with what changed."""
        for directory, changed in zip(directories, self.changes, strict=True):
            run_directory.reopen(directory, self.kind)
            if changed:
                run_directory.note_changes(directory, self.step, changed)


def load_resumption(configs: Sequence[RunConfig], directories: Sequence[Path], *, allow_changes: bool) -> Resumption:
    """What runs with these resolved configs go on from; raises UserError where they cannot, or may not."""
    found = [checkpoint.read(directory) for directory in directories]
    steps = {None if content is None else content["step"] for content in found}
    if len(steps) > 1:
        raise UserError("These runs have not come equally far, so they cannot be resumed together.", value=str(steps))
    saved = [content for content in found if content is not None]
    if not saved:
        return Resumption(0, (), (), tuple([] for _ in configs))
    changes = tuple(_changes(content, config) for content, config in zip(saved, configs, strict=True))
    if not allow_changes:
        for changed, directory in zip(changes, directories, strict=True):
            _refuse(changed, directory)
    members = [content["member"] for content in saved]
    for member, changed in zip(members, changes, strict=True):
        if any(change.startswith(("env.", "engine.")) for change in changed):
            member["environments"] = None  # they were others
    return Resumption(saved[0]["step"], tuple(members), tuple(content["recorder"] for content in saved), changes)


def refuse_changes(config: RunConfig, directory: Path) -> None:
    """Raise UserError if the run would go on with another config than it was trained with."""
    content = checkpoint.read(directory)
    if content is not None:
        _refuse(_changes(content, resolve(config)), directory)


def _changes(content: dict[str, Any], config: RunConfig) -> list[str]:
    """Between what a checkpoint was trained with and a resolved config."""
    return differences(content["config"], to_yaml(essence(config)))


def _refuse(changes: Sequence[str], directory: Path) -> None:
    if changes:
        raise UserError(
            "The config is not the one that this run was trained with:\n  " + "\n  ".join(changes),
            value=str(directory),
            remedy="undo the change, or say --allow-changes to `acexp resume`",
        )
