"""Scalars as lines of JSON: the same run gives the same file, byte for byte."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path


class JsonlWriter:
    """Appends `{"step": ..., tag: value, ...}` lines; wall-clock values are left out.

    Lines of steps beyond `resume_at`, written after the checkpoint that is resumed, go first.
    """

    def __init__(self, path: Path, resume_at: int = 0) -> None:
        if path.exists():
            _cut_back(path, resume_at)
        self._file = path.open("a", encoding="utf-8")

    def write(self, step: int, scalars: Mapping[str, float], timings: Mapping[str, float]) -> None:
        self._file.write(json.dumps({"step": step, **dict(sorted(scalars.items()))}) + "\n")
        self._file.flush()

    def end(self, step: int, results: Mapping[str, float]) -> None:
        """Nothing: summary.json holds what the run came to."""

    def close(self) -> None:
        self._file.close()


def _cut_back(path: Path, step: int) -> None:
    kept = 0
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n") or json.loads(line)["step"] > step:
                break
            kept += len(line)
    os.truncate(path, kept)
