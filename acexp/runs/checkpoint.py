"""Checkpoints that survive a crash at any moment, a full disk and a flipped bit.

The newest is `checkpoint.pt`, the one before it `checkpoint.previous.pt`. `checkpoint.json` lists the contents that are
intact, by SHA-256, and is written before a file takes its place: whatever a crash leaves behind, a file is valid if its
contents are listed there.
"""

from __future__ import annotations

import io
import json
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from acexp.core.errors import UserError
from acexp.runs.manifest import CONFIG_KEY, MANIFEST, NEWEST, PREVIOUS, IntactFile, digest, first_intact, read_manifest
from acexp.system.files import sync_directory, write_durably


def write(directory: Path, content: Mapping[str, Any], step: int) -> None:
    """Make the content, tensors and plain values only, the newest checkpoint; raises OSError where that fails.

    At every moment in between, the checkpoint that was the newest can be read.
    """
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    data = buffer.getvalue()
    known = read_manifest(directory).steps
    newest, previous = directory / NEWEST, directory / PREVIOUS
    temporary = write_durably(directory / f"{NEWEST}.tmp", data)
    kept = first_intact((newest, previous), known)
    entries = {digest(data): step}
    if kept is not None:
        entries[kept.digest] = known[kept.digest]
    config = content.get(CONFIG_KEY)
    text = json.dumps({"sha256": entries, **({} if config is None else {CONFIG_KEY: config})}, indent=2) + "\n"
    try:
        write_durably(directory / f"{MANIFEST}.tmp", text.encode()).replace(directory / MANIFEST)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(directory)
    if kept is not None:
        kept.path.replace(previous)
    temporary.replace(newest)
    sync_directory(directory)


def is_plain(value: object) -> bool:
    """Return True if `read` could read this value back: if it consists of tensors and plain values."""
    buffer = io.BytesIO()
    try:
        torch.save(value, buffer)
        buffer.seek(0)
        torch.load(buffer, weights_only=True)
    except Exception:  # whatever an engine's state cannot be written or read as
        return False
    return True


def read(directory: Path) -> dict[str, Any] | None:
    """Return the content of the newest intact checkpoint; None if none was ever written.

    Raises UserError where there are files, but none that is intact and acexp's. Nothing in them is executed.
    """
    paths = [path for path in (directory / NEWEST, directory / PREVIOUS) if path.exists()]
    found = first_intact(paths, read_manifest(directory).steps)
    if found is not None:
        return _load(found)
    if not paths:
        return None
    raise UserError(
        "No checkpoint here is whole: " + ", ".join(path.name for path in paths) + " differ from what was written.",
        value=str(directory),
        remedy="restore one of them and checkpoint.json from a copy, or move the directory away and train anew",
    )


def _load(file: IntactFile) -> dict[str, Any]:
    try:
        with warnings.catch_warnings(action="ignore"):
            content = torch.load(io.BytesIO(file.data), weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, ValueError) as error:
        raise UserError(
            f"{file.path.name} is not one of acexp's checkpoints: it holds more than tensors and plain values.",
            value=str(file.path),
            remedy="do not trust this directory: opening it with another program may run code from it",
        ) from error
    return dict(content)
