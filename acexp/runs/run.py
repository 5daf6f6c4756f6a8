"""A run, and how it is to be trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from acexp.config import RunConfig


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its config, and the directory that it owns.

    Attributes:
        config: Its config.
        directory: Its directory.
        varying: The keys of the settings that distinguish the runs of its sweep; empty for a run on its own.
    """

    config: RunConfig
    directory: Path
    varying: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """How runs are trained, beside what their configs say.

    Attributes:
        cores: Number of CPU cores that may be used; None for all.
        resume: Whether the runs continue from their checkpoints, or begin where there is none yet. Without it, a
            directory that holds a run is refused.
        allow_changes: Whether a resumed run may have another config than its checkpoint was trained with.
        until: Env step at which the runs are saved and left with status `paused`; None trains them to their end.
    """

    cores: int | None = None
    resume: bool = False
    allow_changes: bool = False
    until: int | None = None
