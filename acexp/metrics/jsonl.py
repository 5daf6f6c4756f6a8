"""metrics.jsonl: scalars as lines of JSON, written and read; the same run gives the same file, byte for byte."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from acexp.core.errors import UserError
from acexp.metrics.writer import Writer

STEP = "step"
"""The key of the env step in a line, besides its tags."""

LONGEST_SHOWN = 60
"""The characters that a message shows of a line that cannot be read."""


@dataclass(frozen=True, slots=True)
class Series:
    """The values of a tag over training, with their env steps, float64 `[K]` each."""

    steps: NDArray[np.float64]
    values: NDArray[np.float64]


class JsonlWriter(Writer):
    """Writer that appends `{"step": ..., tag: value, ...}` lines, without values that depend on the wall clock.

    What is infinite or NaN is left out.

    Lines of steps beyond `resume_at`, written after the checkpoint that is resumed, are removed first.
    """

    def __init__(self, path: Path, resume_at: int = 0) -> None:
        if path.exists():
            _truncate(path, resume_at)
        self._file = path.open("a", encoding="utf-8")

    def write(self, step: int, scalars: Mapping[str, float], timings: Mapping[str, float]) -> None:
        # JSON has no infinity, and no NaN.
        finite = {tag: value for tag, value in sorted(scalars.items()) if math.isfinite(value)}
        self._file.write(json.dumps({STEP: step, **finite}, allow_nan=False) + "\n")
        self._file.flush()

    def end(self, step: int, results: Mapping[str, float]) -> None:
        """Do nothing, because summary.json holds the results of the run."""

    def close(self) -> None:
        self._file.close()


def _truncate(path: Path, step: int) -> None:
    os.truncate(path, _length(path, step))


def require_readable(path: Path, step: int) -> None:
    """Raise UserError if a line up to an env step cannot be read, so that a run cannot continue its log there."""
    if path.exists():
        _length(path, step)


def _length(path: Path, step: int) -> int:
    """Return the number of bytes of the lines up to an env step."""
    kept = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n") or _parse(path, number, line)[STEP] > step:
                break
            kept += len(line)
    return kept


def read_series(path: Path) -> dict[str, Series]:
    """Return a log as columns, by tag. Lines of the same tags are read as blocks: sweeps have millions of lines."""
    blocks: dict[tuple[str, ...], list[list[float]]] = {}
    for values in _lines(path) if path.exists() else ():
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
    try:
        values = [line[tag] for line in _lines(path, tag) if tag in line and line[STEP] < before]
    except OSError:
        return None
    return float(values[-1]) if values else None


def _lines(path: Path, tag: str | None = None) -> Iterator[dict[str, float]]:
    """Yield the lines of a log, or those that hold a tag; raises UserError for one that cannot be read."""
    wanted = b"" if tag is None else f'"{tag}"'.encode()
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if wanted in line:
                yield _parse(path, number, line)


def _parse(path: Path, number: int, line: bytes) -> dict[str, float]:
    try:
        values = _loads(line)
        if not isinstance(values, dict) or STEP not in values:
            raise ValueError
    except ValueError:
        raise UserError(
            f"Line {number} of {path.name} cannot be read.",
            value=line[:LONGEST_SHOWN].decode(errors="replace").rstrip(),
            place=str(path),
            remedy="resume the run if it was killed while it wrote; else restore the file from a copy",
        ) from None
    return values


def _loads(line: bytes) -> object:
    """Return what a line holds, as the standard library reads it, in a quarter of the time."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        # The lines of early versions may hold NaN and Infinity, which JSON does not have.
        return json.loads(line)
