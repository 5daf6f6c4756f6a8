"""What runs continue from, and whether they may."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from acexp.algorithm.assembly import resolve
from acexp.algorithm.loop import Budget
from acexp.algorithm.population import MemberState, Population, load
from acexp.config import RunConfig, differences, essence, parse_settings, settings, to_yaml
from acexp.core.annealing import Schedule
from acexp.core.errors import UserError
from acexp.metrics import Recorder, require_readable
from acexp.runs import checkpoint, run_directory
from acexp.runs.manifest import read_manifest
from acexp.runs.run import Run
from acexp.runs.run_directory import APPROXIMATE, EXACT

NOT_SAVED = "the engine cannot save environments"
CHANGED = "the environment or its engine was changed"
"""Why the environments of a run cannot continue where they were. See also engines.base.Engine.load."""

RATES = ("optim.learning_rate", "optim.actor.learning_rate", "optim.critic.learning_rate")


@dataclass(frozen=True, slots=True)
class Resumption:
    """The checkpoints of a population's runs, all of the same env step; empty for runs that begin.

    Attributes:
        step: The env step of the checkpoints; 0 where there are none.
        members: The members' states; empty where there are no checkpoints.
        recorders: The recorder's state for each member.
        obstacle: Why the environments cannot continue where they were, so that new episodes begin; None if they can.
        changes: The changes of each member's config since its checkpoint.
        jump: A sentence about a learning rate that these changes let jump; None if there is none.
        newest: The env step of each member's newest checkpoint, which could not be read if it is another one.
    """

    step: int = 0
    members: tuple[MemberState, ...] = ()
    recorders: tuple[dict[str, Any], ...] = ()
    obstacle: str | None = None
    changes: tuple[list[str], ...] = ()
    jump: str | None = None
    newest: tuple[int | None, ...] = ()

    @property
    def kind(self) -> str | None:
        """EXACT if the environments continue where they were, APPROXIMATE if they begin new episodes, None if empty."""
        if not self.members:
            return None
        return EXACT if self.obstacle is None else APPROXIMATE

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

    def restore(self, population: Population) -> str | None:
        """Load the members' states into a population that was just built.

        Returns None, or why its environments cannot be brought back to where they were, see algorithm.population.load.
        """
        return load(population, self.members) if self.members else None

    def without_environments(self, obstacle: str) -> Resumption:
        """Return the same resumption with new episodes, for this reason."""
        return replace(self, members=_without_environments(self.members), obstacle=obstacle)

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
        run_directory.reopen(directory, self.kind, self.obstacle)
        if self.changes and self.changes[member]:
            run_directory.note_changes(directory, self.step, self.changes[member])


Groups = list[tuple[list[int], Resumption]]
"""Runs, by their numbers, that continue from the same env step."""


def load_resumptions(runs: Sequence[Run]) -> tuple[Groups, dict[int, UserError]]:
    """Read the checkpoints of runs with resolved configs; return the runs by env step, and those that cannot go on.

    A run cannot go on if its checkpoint or its log cannot be read.
    """
    contents: dict[int, dict[str, Any] | None] = {}
    refused: dict[int, UserError] = {}
    by_step: dict[int | None, list[int]] = {}
    for m, run in enumerate(runs):
        try:
            contents[m] = content = checkpoint.read(run.directory)
            step = None if content is None else content["step"]
            require_readable(run.directory / run_directory.METRICS, step or 0)
            by_step.setdefault(step, []).append(m)
        except UserError as error:
            refused[m] = error
    groups = []
    for step, members in by_step.items():
        saved = [content for content in (contents[m] for m in members) if content is not None]
        resumption = _resumption(step or 0, saved, [runs[m] for m in members]) if saved else Resumption()
        groups.append((members, resumption))
    return groups, refused


def _resumption(step: int, saved: Sequence[dict[str, Any]], runs: Sequence[Run]) -> Resumption:
    changes = tuple(_changes(content["config"], run.config) for content, run in zip(saved, runs, strict=True))
    members = tuple(content["member"] for content in saved)
    obstacle = None
    if any(change.startswith(("env.", "engine.")) for changed in changes for change in changed):
        obstacle = CHANGED
    elif any(member["environments"] is None for member in members):
        obstacle = NOT_SAVED
    jumps = (_jump(content["config"], run.config, step) for content, run in zip(saved, runs, strict=True))
    return Resumption(
        step=step,
        members=members if obstacle is None else _without_environments(members),
        recorders=tuple(content["recorder"] for content in saved),
        obstacle=obstacle,
        changes=changes,
        jump=next((jump for jump in jumps if jump), None),
        newest=tuple(read_manifest(run.directory).newest_step for run in runs),
    )


def _without_environments(members: Sequence[MemberState]) -> tuple[MemberState, ...]:
    return tuple({**member, "environments": None} for member in members)


def _jump(trained_with: str, config: RunConfig, step: int) -> str | None:
    """Return a sentence about a learning rate that is annealed over another budget than before; None if none is."""
    before, now = parse_settings(trained_with), settings(config)
    key = next((key for key in RATES if key in before and now.get(_anneal(key), "none") != "none"), None)
    if key is None or before["total_steps"] == now["total_steps"]:
        return None
    first, last = (_rate(known, key, step) for known in (before, now))
    return (
        f"{key} jumps from {first:.2g} to {last:.2g} at env step {step:,}: it is annealed over total_steps, which was "
        f"{before['total_steps']:,} and is {now['total_steps']:,}."
    )


def _anneal(key: str) -> str:
    """Return the key of the schedule of a learning rate."""
    return key.replace("learning_rate", "anneal")


def _rate(known: Mapping[str, Any], key: str, step: int) -> float:
    """Return the learning rate of the update that begins at an env step; after its budget, the last one."""
    per_update = known["algo.n_steps"] * known["algo.n_envs"]
    budget = Budget(total_steps=known["total_steps"], steps_per_update=per_update)
    schedule = Schedule(known[_anneal(key)], known[key.replace("learning_rate", "final_share")])
    return float(known[key] * schedule.share(min(1.0, step / budget.steps)))


def refuse_changes(run: Run) -> None:
    """Raise UserError if the run's config is not the one that its checkpoint was trained with."""
    _refuse(changes_of(run), run.directory)


def changes_of(run: Run) -> list[str]:
    """Return the changes of the run's config since its newest checkpoint; none if it has no checkpoint.

    Only checkpoint.json is read, unless an earlier version wrote it, which left the config to the checkpoint.
    """
    manifest = read_manifest(run.directory)
    config = manifest.config
    if config is None and manifest.steps:
        content = checkpoint.read(run.directory)
        config = None if content is None else content["config"]
    return [] if config is None else _changes(config, resolve(run.config))


def _changes(trained_with: str, config: RunConfig) -> list[str]:
    return differences(trained_with, to_yaml(essence(config)))


def _refuse(changes: Sequence[str], directory: Path) -> None:
    if changes:
        raise UserError(
            "The config is not the one that this run was trained with:\n  " + "\n  ".join(changes),
            value=str(directory),
            remedy="undo the change, or add --allow-changes to `acexp resume`",
        )
