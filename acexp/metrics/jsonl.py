"""metrics.jsonl: scalars as lines of JSON, written and read; the same run gives the same file, byte for byte."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

STEP = "step"
"""The key of the env step in a line, besides its tags."""


@dataclass(frozen=True, slots=True)
class Series:
    """The values of a tag over training, with their env steps, float64 `[K]` each."""

    steps: NDArray[np.float64]
    values: NDArray[np.float64]


class JsonlWriter:
    """Writer that appends `{"step": ..., tag: value, ...}` lines; wall-clock values are left out.

    Lines of steps beyond `resume_at`, written after the checkpoint that is resumed, are removed first.
    """

    def __init__(self, path: Path, resume_at: int = 0) -> None:
        if path.exists():
            _truncate(path, resume_at)
        self._file = path.open("a", encoding="utf-8")

    def write(self, step: int, scalars: Mapping[str, float], timings: Mapping[str, float]) -> None:
        self._file.write(json.dumps({STEP: step, **dict(sorted(scalars.items()))}) + "\n")
        self._file.flush()

    def end(self, step: int, results: Mapping[str, float]) -> None:
        """Do nothing, because summary.json holds the results of the run."""

    def close(self) -> None:
        self._file.close()


def _truncate(path: Path, step: int) -> None:
    kept = 0
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n") or json.loads(line)[STEP] > step:
                break
            kept += len(line)
    os.truncate(path, kept)


def read_series(path: Path) -> dict[str, Series]:
    """Return a log as columns, by tag. Lines of the same tags are read as blocks: sweeps have millions of lines."""
    blocks: dict[tuple[str, ...], list[list[float]]] = {}
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for line in lines:
        values = json.loads(line)
        blocks.setdefault(tuple(values), []).append(list(values.values()))
    columns: dict[str, list[NDArray[np.float64]]] = {}
    for names, rows in blocks.items():
        block = np.array(rows, np.float64).T
        steps = block[names.index(STEP)]
        for name, column in zip(names, block, strict=True):
            columns.setdefault(name, []).append(np.stack((steps, column)))
    columns.pop(STEP, None)
    found = {}
    for tag, parts in columns.items():
        together = np.concatenate(parts, axis=1)
        steps, values = together[:, np.argsort(together[0], kind="stable")]
        found[tag] = Series(steps, values)
    return found


def read_last(path: Path, tag: str, before: float = math.inf) -> float | None:
    """Return the last value of a tag before an env step; None if there is none, or no file that can be read."""
    found = None
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        if f'"{tag}"' in line:
            content = json.loads(line)
            found = float(content[tag]) if content[STEP] < before else found
    return found
