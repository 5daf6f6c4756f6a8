"""Where a run's metrics are written: the base class of writers, what they know of the run, and their registry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from acexp.core.errors import UserError
from acexp.core.registry import Registry
from acexp.system.packages import Package, is_installed

KEY = "log.writers"
"""The setting that names the writers of a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """The description of a run for its writers.

    Attributes:
        directory: the run's directory.
        id: a text that stays the same when the run is resumed or evaluated, and that no other run has.
        name: what distinguishes the run from the others of its sweep, seed included; a run on its own has a time.
        group: a name that runs share if they differ only in their seed.
        sweep: the name of the run's sweep, or of the folder that a run on its own lies in.
        config: the resolved config as YAML.
        settings: all settings by dotted key, as plain values.
        varying: those of them that vary in the run's sweep; all of them for a run on its own.
        resume_at: the env step that the run is resumed at, after which it is logged again; None if it is not resumed.
        is_over: whether the run has ended, so that something is only added to its log.
    """

    directory: Path
    id: str
    name: str
    group: str
    sweep: str
    config: str
    settings: Mapping[str, bool | float | str]
    varying: Mapping[str, bool | float | str]
    resume_at: int | None = None
    is_over: bool = False

    @property
    def is_new(self) -> bool:
        """Whether nothing has been logged of this run before."""
        return self.resume_at is None and not self.is_over


class Writer:
    """Base class of an object that writes the scalars of one run.

    Attributes:
        packages: The packages that it needs, beside acexp's own.
        is_remote: Whether it talks to a server. Its methods are then called in a thread of their own, so that training
            does not wait for them, and an exception costs a warning, never the run.
    """

    packages: ClassVar[tuple[Package, ...]] = ()
    is_remote: ClassVar[bool] = False

    def write(self, step: int, scalars: Mapping[str, float], timings: Mapping[str, float]) -> None:
        """Write the scalars measured up to env step `step`; `timings` holds values that depend on the wall clock."""

    def end(self, step: int, results: Mapping[str, float]) -> None:
        """Write the results of the run, which ended at env step `step`."""

    def set_status(self, status: str) -> None:
        """Take how the run ended, in the words of its status.json; called before `close`, unless the process dies."""

    def close(self) -> None:
        """Flush and close the output."""


WRITERS: Registry[Callable[[Experiment], Writer]] = Registry("writer", listed_as="log.writers")
"""The writers that `log.writers` can name. `metrics.jsonl` is none of them: it is always written."""


def require_writers(names: Iterable[str]) -> None:
    """Raise UserError for a writer that nobody has registered, or whose packages are not installed."""
    for name in names:
        try:
            entry = WRITERS[name]
        except UserError as error:
            raise error.under(KEY) from None
        missing = [each for each in packages_of(name) if not is_installed(each.name)]
        if missing:
            raise UserError(
                f"The writer {entry.name!r} needs {missing[0].name}, which is not installed.",
                key=KEY,
                value=name,
                remedy=missing[0].remedy,
            )


def packages_of(name: str) -> tuple[Package, ...]:
    """Return the packages that a writer needs, beside acexp's own."""
    return getattr(WRITERS[name].build, "packages", ())
