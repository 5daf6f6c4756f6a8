"""Layer 5: checkpoints that survive a crash at any moment, a full disk and a flipped bit.

The newest is `checkpoint.pt`, the one before it `checkpoint.previous.pt`. `checkpoint.json` says which contents are
whole, by SHA-256, and is written before a file takes its place: whatever a crash leaves behind, a file counts if its
contents are named there.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_safetensors
from torch import Tensor

from acexp.core.errors import UserError

NEWEST = "checkpoint.pt"
PREVIOUS = "checkpoint.previous.pt"
MANIFEST = "checkpoint.json"
POLICY = "policy.safetensors"


def write(directory: Path, content: Mapping[str, Any], step: int) -> None:
    """Make the content, tensors and plain values only, the newest checkpoint; raises OSError where it cannot.

    At every moment in between, the checkpoint that was the newest can be read.
    """
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    data = buffer.getvalue()
    known = _manifest(directory)
    newest, previous = directory / NEWEST, directory / PREVIOUS
    temporary = _write_through(directory / f"{NEWEST}.tmp", data)
    kept = next((path for path in (newest, previous) if _is_whole(path, known)), None)
    entries = {_digest(data): step}
    if kept is not None:
        digest = _digest(kept.read_bytes())
        entries[digest] = known[digest]
    text = json.dumps({"sha256": entries}, indent=2) + "\n"
    try:
        _write_through(directory / f"{MANIFEST}.tmp", text.encode()).replace(directory / MANIFEST)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    _flush(directory)
    if kept is not None:
        kept.replace(previous)
    temporary.replace(newest)
    _flush(directory)


def export(directory: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, str]) -> None:
    """Write the networks for others to use, whole or not at all; raises OSError where it cannot.

    A safetensors file holds names, shapes and numbers, and nothing that could run.
    """
    data = to_safetensors({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata=dict(notes))
    _write_through(directory / f"{POLICY}.tmp", data).replace(directory / POLICY)
    _flush(directory)


def read(directory: Path) -> dict[str, Any] | None:
    """The newest checkpoint that is whole; None if none was ever written.

    Raises UserError where there are files, but none that is whole and ours. Nothing in them is executed.
    """
    known = _manifest(directory)
    there = [path for path in (directory / NEWEST, directory / PREVIOUS) if path.exists()]
    for path in there:
        if _is_whole(path, known):
            return _load(path)
    if not there:
        return None
    raise UserError(
        "No checkpoint here is whole: " + ", ".join(path.name for path in there) + " differ from what was written.",
        value=str(directory),
        remedy="restore one of them and checkpoint.json from a copy, or move the directory away and train anew",
    )


def step(directory: Path) -> int | None:
    """The env step of the newest checkpoint that is whole; None where there is none."""
    known = _manifest(directory)
    for path in (directory / NEWEST, directory / PREVIOUS):
        if _is_whole(path, known):
            return known[_digest(path.read_bytes())]
    return None


def _is_whole(path: Path, known: Mapping[str, int]) -> bool:
    return path.exists() and _digest(path.read_bytes()) in known


def _load(path: Path) -> dict[str, Any]:
    try:
        with warnings.catch_warnings(action="ignore"):
            content = torch.load(path, weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, ValueError) as error:
        raise UserError(
            f"{path.name} is not one of acexp's checkpoints: it holds more than tensors and plain values.",
            value=str(path),
            remedy="do not trust this directory: opening it with another program may run code from it",
        ) from error
    return dict(content)


def _manifest(directory: Path) -> dict[str, int]:
    """The steps of whole contents, by their digests; empty where there is no manifest, or none that can be read."""
    try:
        entries = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))["sha256"]
        return {str(digest): int(step) for digest, step in entries.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write_through(path: Path, data: bytes) -> Path:
    """Write a file and wait until the disk has it; nothing stays behind where that fails."""
    try:
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return path


def _flush(directory: Path) -> None:
    """Wait until the disk knows the directory's new names."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
