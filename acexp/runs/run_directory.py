"""The files of one run's directory that say what it is and how it stands: status.json, summary.json, error.log."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any

from acexp.core.errors import UserError
from acexp.system.files import now, read_json, replace_files, to_json, unwritable, write_json
from acexp.system.lock import is_locked
from acexp.system.packages import versions
from acexp.system.processor import processor

CONFIG = "config.yaml"
METRICS = "metrics.jsonl"
STATUS = "status.json"
SUMMARY = "summary.json"
ERROR_LOG = "error.log"

EXACT, APPROXIMATE = "exact", "approximate"
"""How a run was resumed: bit-identical, or with new episodes because its engine cannot save environments."""


class Status(StrEnum):
    """The status of a run, as status.json records it."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    DIVERGED = "diverged"
    INTERRUPTED = "interrupted"
    PAUSED = "paused"
    """Stopped at the step up to which it was to be trained for now; a search compares it with other runs."""
    PRUNED = "pruned"
    """Given up by a search, because other trials were better."""


OVER = (Status.DONE, Status.DIVERGED, Status.PRUNED)
"""The statuses of runs that are not continued."""

KILLED = "killed"
"""The status of a run whose status.json says `running` while no process holds its lock."""


class RunState(StrEnum):
    """What a directory holds of a run that is to be trained."""

    NEW = "new"
    UNFINISHED = "unfinished"
    OVER = "over"
    ANOTHER_RUN = "another run"


def run_state(directory: Path, identity: str) -> RunState:
    """Return what a directory holds of the run with this identity. A run that failed counts as unfinished."""
    if not is_claimed(directory):
        return RunState.NEW
    status = read_status(directory)
    if status.get("identity") != identity:
        return RunState.ANOTHER_RUN
    return RunState.OVER if status.get("status") in OVER else RunState.UNFINISHED


def has_begun(directory: Path) -> bool:
    """Return True if the run that the directory holds has written all that `begin` writes."""
    return is_claimed(directory) and (directory / CONFIG).exists()


def is_claimed(directory: Path) -> bool:
    """Return True if a run has been written into the directory."""
    return (directory / STATUS).exists() or (directory / METRICS).exists()


def begin(directory: Path, config: str, identity: str, torch_threads: int) -> None:
    """Write what is needed to repeat the run: config, command, versions, threads, processor."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        status = {
            "status": Status.RUNNING,
            "identity": identity,
            "started": now(),
            "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            "torch_threads": torch_threads,
            "processor": processor(),
            "versions": versions(recorded_packages()),
        }
        # The first file makes the directory the run's own, wherever the process is killed after it.
        replace_files({directory / STATUS: to_json(status), directory / CONFIG: config.encode()})
    except OSError as error:
        remedy = "free some space or choose another directory: hydra.run.dir=..."
        raise unwritable("The run directory", error, directory, remedy, key="hydra.run.dir") from error


def recorded_packages() -> list[str]:
    """Return the names of the packages whose versions decide what a run computes, those of every engine included."""
    from acexp.engines import ENGINES  # which brings torch along, and most commands only read what a directory holds

    engines = [package.name for name in ENGINES.names for package in ENGINES[name].build.packages]
    return list(dict.fromkeys(("acexp", "torch", "gymnasium", "numpy", *engines, "hydra-core")))


def reopen(directory: Path, kind: str | None, obstacle: str | None = None) -> None:
    """Record that the run continues, and drop its last error.

    `kind` says how it is resumed, EXACT or APPROXIMATE; None if it begins from the start. `obstacle` says why not
    exactly.
    """
    (directory / ERROR_LOG).unlink(missing_ok=True)
    before = read_status(directory)
    kept = {key: value for key, value in before.items() if key not in ("ended", "error")}
    # A run that was resumed approximately once stays approximate.
    resume = {} if kind is None else {"resumed": now(), "resume": before.get("resume", kind) if kind == EXACT else kind}
    reason = {} if obstacle is None else {"resume_reason": obstacle}
    write_json(directory / STATUS, {**kept, "status": Status.RUNNING, **resume, **reason})


def note_changes(directory: Path, step: int, changes: Sequence[str]) -> None:
    """Record that the run continues from an env step with another config than it was trained with."""
    before = read_status(directory)
    recorded = [*before.get("changes", ()), {"step": step, "changes": list(changes)}]
    write_json(directory / STATUS, {**before, "changes": recorded})


def read_status(directory: Path) -> dict[str, Any]:
    """Return the content of status.json; raises UserError where it cannot be read."""
    with suppress(OSError, ValueError, TypeError):
        status = json.loads((directory / STATUS).read_text(encoding="utf-8"))
        if "status" in status:
            return dict(status)
    raise UserError(
        "The run's status.json cannot be read.",
        value=str(directory / STATUS),
        remedy="restore it from a copy, or move the directory away and train anew",
    )


def current_status(directory: Path, status: Mapping[str, Any]) -> str:
    """Return the status that a status.json amounts to now: one of Status, or KILLED."""
    recorded = str(status["status"])
    return KILLED if recorded == Status.RUNNING and not is_locked(directory) else recorded


def runs_below(directory: Path) -> list[Path]:
    """Return the directories of a sweep's runs that have begun."""
    return sorted(path.parent for path in directory.glob(f"*/{STATUS}"))


def finish(
    directory: Path, status: Status, results: Mapping[str, Any], timings: Mapping[str, float], error: str | None
) -> None:
    """Write the run's results: summary.json, then status.json."""
    write_json(directory / SUMMARY, {"status": status, **results, **timings})
    end(directory, status, {"steps": results["steps"], **timings, **({"error": error} if error else {})})


def end(directory: Path, status: Status, details: Mapping[str, Any]) -> None:
    """Update status.json at the end of a run, with further details."""
    write_json(directory / STATUS, {**read_status(directory), "status": status, "ended": now(), **details})


def read_summary(directory: Path) -> dict[str, Any]:
    """Return the content of summary.json, empty if there is none; raises OSError or ValueError if unreadable."""
    return read_json(directory / SUMMARY)
