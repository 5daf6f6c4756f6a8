"""Deletes the directories of runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from acexp.core.errors import UserError
from acexp.sweeps.sweep_directory import is_search
from acexp.system.files import unwritable
from acexp.system.lock import LOCK, locked


def refuse_trials(runs: Sequence[Path]) -> None:
    """Raise UserError if some of these runs are trials of a search, whose own records refer to their directories."""
    trials = [run for run in runs if is_search(run.parent)]
    if trials:
        raise UserError(
            "This run is a trial of a search, and a search needs all of its trials to go on.",
            value=str(trials[0]),
            remedy="delete the directory of the whole search, or leave the runs in place",
        )


def delete(runs: Sequence[Path]) -> None:
    """Delete the directories of runs with everything in them.

    Raises UserError, before anything is deleted, if a process is training one of them; and if the operating system does
    not allow to delete one, after those before it.
    """
    for run in runs:
        with _deletable(run):
            pass
    for run in runs:
        with _deletable(run):
            for path in run.iterdir():
                if path.name != LOCK:
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        with _deletable(run, lock=False):  # Windows deletes no file that is open
            shutil.rmtree(run)


@contextmanager
def _deletable(run: Path, *, lock: bool = True) -> Iterator[None]:
    """Hold the lock of a run, and turn an error of the operating system into a UserError."""
    try:
        with locked(run) if lock else nullcontext():
            yield
    except OSError as error:
        raise unwritable("The run", error, run, "change the permissions, or delete it by hand") from error
