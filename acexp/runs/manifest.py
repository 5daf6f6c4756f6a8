"""Which checkpoints of a run are intact, as checkpoint.json says: without torch, which only their contents need."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

NEWEST = "checkpoint.pt"
PREVIOUS = "checkpoint.previous.pt"
MANIFEST = "checkpoint.json"
CONFIG_KEY = "config"


class Manifest(NamedTuple):
    """What checkpoint.json says, without looking at the checkpoints themselves.

    Attributes:
        steps: The env steps of intact contents, by SHA-256; the newest comes first.
        config: The config that the newest was trained with, as YAML; None if the file does not say.
    """

    steps: dict[str, int]
    config: str | None

    @property
    def newest_step(self) -> int | None:
        """The env step of the newest checkpoint; None if there is none."""
        return next(iter(self.steps.values()), None)


def step(directory: Path) -> int | None:
    """Return the env step of the newest intact checkpoint; None where there is none. Reads and hashes the file."""
    steps = read_manifest(directory).steps
    found = first_intact((directory / NEWEST, directory / PREVIOUS), steps)
    return None if found is None else steps[found.digest]


def read_manifest(directory: Path) -> Manifest:
    """Return what checkpoint.json says; an empty manifest where there is none, or none that can be read."""
    try:
        content = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        steps = {str(digest): int(step) for digest, step in content["sha256"].items()}
        config = content.get(CONFIG_KEY)
        return Manifest(steps, None if config is None else str(config))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Manifest({}, None)


class IntactFile(NamedTuple):
    """A file whose contents are listed, as it was read."""

    path: Path
    data: bytes
    digest: str


def first_intact(paths: Sequence[Path], known: Mapping[str, int]) -> IntactFile | None:
    """Return the first file whose contents are listed, read and hashed once."""
    for path in paths:
        if path.exists():
            data = path.read_bytes()
            found = digest(data)
            if found in known:
                return IntactFile(path, data, found)
    return None


def digest(data: bytes) -> str:
    """Return the SHA-256 by which contents are listed."""
    return hashlib.sha256(data).hexdigest()
