"""Files that are written completely or not at all."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from acexp.core.errors import UserError

CHOOSE_OUT = "free some space, or choose another place: --out"
"""Remedy for a command whose `--out` cannot be written."""


def read_json(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file, empty if it does not exist; raises OSError or ValueError if unreadable."""
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Replace a JSON file; raises OSError where that fails. Numbers that JSON does not have become null."""
    replace_file(path, to_json(value))


def to_json(value: Mapping[str, Any]) -> bytes:
    """Return the content of a JSON file."""
    return (json.dumps(_finite(dict(value)), indent=2, allow_nan=False) + "\n").encode()


def _finite(value: Any) -> Any:
    """Return plain values, nested as they are, with None for every number that is infinite or NaN."""
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file completely or not at all: a full disk must not empty the file that was there."""
    replace_files({path: content})


def replace_files(contents: Mapping[Path, bytes]) -> None:
    """Replace several files that belong together; all are written to temporary files before the first is replaced."""
    temporaries = {path.with_name(f"{path.name}.tmp"): path for path in contents}
    try:
        for temporary, path in temporaries.items():
            temporary.write_bytes(contents[path])
        for temporary, path in temporaries.items():
            temporary.replace(path)
    except OSError:
        for temporary in temporaries:
            temporary.unlink(missing_ok=True)
        raise


def write_durably(path: Path, data: bytes) -> Path:
    """Write a file and wait until it is on the disk; leaves no partial file behind and raises OSError if that fails."""
    try:
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return path


def sync_directory(directory: Path) -> None:
    """Wait until the names of the files in a directory are on the disk; Windows opens no directories to do so."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refuse_foreign(files: Mapping[Path, str], own: Iterable[Path] = ()) -> None:
    """Raise UserError if a file exists that is not acexp's own, because it would be overwritten.

    Args:
        files: The files that are going to be written, with a text that each contains if acexp has written it.
        own: Files among them that are acexp's own whatever they contain.
    """
    found = [path for path, mark in files.items() if path.exists() and path not in own and not _holds(path, mark)]
    if found:
        raise UserError(
            f"acexp did not write {', '.join(path.name for path in found)}, and would overwrite it.",
            value=str(found[0].parent),
            remedy="choose another place (--out ...), or move the file away",
        )


def _holds(path: Path, mark: str) -> bool:
    try:
        return mark.encode() in path.read_bytes()
    except OSError:
        return False


def unwritable(
    what: str, error: OSError, place: Path, remedy: str = "free some space", key: str | None = None
) -> UserError:
    """Return the UserError for a path that cannot be written; `key` is the setting that chose the path."""
    return UserError(f"{what} cannot be written: {error.strerror or error}.", key, str(place), remedy=remedy)


def now() -> str:
    """Return the current time in UTC, as ISO 8601 with microseconds: as text, times sort in the order of events."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
