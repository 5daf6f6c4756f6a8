"""Layer 5: the files of one run's directory, beside its metrics."""

from __future__ import annotations

import io
import json
import platform
import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from acexp.core.errors import UserError

CONFIG = "config.yaml"
METRICS = "metrics.jsonl"
STATUS = "status.json"
SUMMARY = "summary.json"
CHECKPOINT = "checkpoint.pt"
ERROR_LOG = "error.log"
RECORDED_PACKAGES = ("acexp", "torch", "gymnasium", "numpy", "mujoco", "ale-py", "box2d", "envpool", "hydra-core")


class Status(StrEnum):
    """Where a run stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    DIVERGED = "diverged"
    INTERRUPTED = "interrupted"


def is_claimed(directory: Path) -> bool:
    """Whether a run has been written there."""
    return (directory / STATUS).exists() or (directory / METRICS).exists()


def claim(directory: Path) -> None:
    """Raise UserError if a run has been written there: nothing is ever overwritten."""
    if is_claimed(directory):
        raise UserError(
            "This directory already holds a run, and acexp never overwrites one.",
            key="hydra.run.dir",
            value=str(directory),
            remedy="give the sweep another name (name=...), or move the directory away",
        )


def begin(directory: Path, config: str, torch_threads: int) -> None:
    """Write what is needed to repeat the run: config, command, versions, threads."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / CONFIG).write_text(config, encoding="utf-8")
        _write_json(
            directory / STATUS,
            {
                "status": Status.RUNNING,
                "started": _now(),
                "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
                "torch_threads": torch_threads,
                "versions": _versions(),
            },
        )
    except OSError as error:
        raise UserError(
            f"The run directory cannot be written: {error.strerror}.",
            key="hydra.run.dir",
            value=str(directory),
            remedy="free some space or choose another directory: hydra.run.dir=...",
        ) from error


def finish(
    directory: Path,
    status: Status,
    tensors: Mapping[str, Mapping[str, Tensor]],
    results: Mapping[str, Any],
    timings: Mapping[str, float],
    error: str | None,
) -> None:
    """Write what the run came to: parameters and statistics, summary, status."""
    checkpoint = io.BytesIO()
    torch.save({key: dict(value) for key, value in tensors.items()}, checkpoint)
    _replace(directory / CHECKPOINT, checkpoint.getvalue())
    _write_json(directory / SUMMARY, {"status": status, **results, **timings})
    end(directory, status, {"steps": results["steps"], **timings, **({"error": error} if error else {})})


def end(directory: Path, status: Status, details: Mapping[str, Any]) -> None:
    """Bring the status up to date, with what else is to be said about the end."""
    started = json.loads((directory / STATUS).read_text(encoding="utf-8"))
    _write_json(directory / STATUS, {**started, "status": status, "ended": _now(), **details})


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    _replace(path, (json.dumps(dict(value), indent=2) + "\n").encode())


def _replace(path: Path, content: bytes) -> None:
    """Write a file in one piece or not at all: a full disk must not empty what was there."""
    temporary = path.with_suffix(".tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in RECORDED_PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
