"""Whose a directory is: a run is written only where nothing lies that it would overwrite."""

from __future__ import annotations

from pathlib import Path

from acexp.core.errors import UserError
from acexp.runs import evaluation, manifest, run_directory, saved_policy
from acexp.runs.foreign import is_from_acexp, refuse_overwriting

FILES = (
    run_directory.CONFIG,
    run_directory.METRICS,
    run_directory.STATUS,
    run_directory.SUMMARY,
    run_directory.ERROR_LOG,
    manifest.NEWEST,
    manifest.PREVIOUS,
    manifest.MANIFEST,
    saved_policy.FILE,
    saved_policy.BEST_FILE,
    evaluation.FILE,
    evaluation.BEST_FILE,
)
"""The files of a run that are replaced while it trains, or when it is evaluated."""

EVENTS = "events.out.tfevents.*"
"""The files of TensorBoard, which shows all that lie in one directory as one run."""

HYDRA_FOLDER, HYDRA_FILE = ".hydra", "hydra.yaml"


def claim(directory: Path, key: str = "hydra.run.dir") -> None:
    """Raise UserError if the directory holds a run, or any file that a run would overwrite.

    `key` is the setting that names the directory.
    """
    if run_directory.is_claimed(directory):
        raise UserError(
            "This directory already holds a run, and acexp never overwrites one.",
            key=key,
            value=str(directory),
            remedy="give another name (name=...), or move the directory away",
        )
    refuse_overwriting(directory, foreign_files(directory), key)


def foreign_files(directory: Path) -> list[str]:
    """Return the names of the files that a run would overwrite in a directory that holds no run.

    What Hydra writes before a run begins is the run's own if it says so: a run may have been killed at that moment.
    """
    if run_directory.is_claimed(directory):
        return []
    found = [name for name in FILES if (directory / name).exists()]
    found += sorted(path.name for path in directory.glob(EVENTS))
    folder = directory / HYDRA_FOLDER
    if folder.exists() and any(folder.iterdir()) and not is_from_acexp(folder / HYDRA_FILE):
        found.append(HYDRA_FOLDER)
    return found
