"""Scalars as lines of JSON: the same run gives the same file, byte for byte."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path


class JsonlWriter:
    """Appends `{"step": ..., tag: value, ...}` lines; wall-clock values are left out."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")

    def write(self, step: int, scalars: Mapping[str, float], timings: Mapping[str, float]) -> None:
        self._file.write(json.dumps({"step": step, **dict(sorted(scalars.items()))}) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()
