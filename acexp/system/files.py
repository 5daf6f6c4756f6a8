"""Layer 5: files that are written in one piece or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from acexp.core.errors import UserError

ELSEWHERE = "free some space, or choose another place: --out"


def read_json(path: Path) -> dict[str, Any]:
    """What a file says, nothing where there is none; raises OSError or ValueError where it cannot be read."""
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write what a file says; raises OSError where it cannot."""
    replace_file(path, (json.dumps(dict(value), indent=2) + "\n").encode())


def replace_file(path: Path, content: bytes) -> None:
    """Write a file in one piece or not at all: a full disk must not empty what was there."""
    replace_files({path: content})


def replace_files(contents: Mapping[Path, bytes]) -> None:
    """The same for files that belong together: what could fail is over before the first is replaced."""
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


def unwritable(
    what: str, error: OSError, place: Path, remedy: str = "free some space", key: str | None = None
) -> UserError:
    """What to tell somebody whose disk is full, or not theirs to write; the key is the one that chose the place."""
    return UserError(f"{what} cannot be written: {error.strerror or error}.", key, str(place), remedy=remedy)


def now() -> str:
    """The time, as it is written everywhere."""
    return datetime.now(UTC).isoformat(timespec="seconds")
