"""Layer 5: the files of one run's directory, beside its metrics."""

from __future__ import annotations

import json
import platform
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from acexp.core.errors import UserError
from acexp.system.files import now, unwritable, write_json
from acexp.system.lock import is_held

CONFIG = "config.yaml"
METRICS = "metrics.jsonl"
STATUS = "status.json"
SUMMARY = "summary.json"
ERROR_LOG = "error.log"
SWEEP = "sweep.json"
SEARCH = "search.json"
SEARCH_FOLDER = ".search"
RECORDED_PACKAGES = ("acexp", "torch", "gymnasium", "numpy", "mujoco", "ale-py", "box2d", "envpool", "hydra-core")

EXACT, APPROXIMATE = "exact", "approximate"
"""How a run was resumed: to the last bit, or with new episodes, as its engine cannot save environments."""


class Sweep(NamedTuple):
    """What is known of a sweep as a whole: its runs' identities, asked for by which arguments, in which folder."""

    identities: list[str]
    arguments: list[str]
    folder: Path


class Status(StrEnum):
    """Where a run stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    DIVERGED = "diverged"
    INTERRUPTED = "interrupted"
    PAUSED = "paused"
    """At the step that it was to be trained to for now; a search compares it with others."""
    PRUNED = "pruned"
    """Given up by a search, because others were better."""


OVER = (Status.DONE, Status.DIVERGED, Status.PRUNED)
"""What nobody goes on with."""


KILLED = "killed"
"""Where a run stands whose status says that it is running, while no process holds it."""


class Standing(StrEnum):
    """What a directory holds of a run that is asked for."""

    FRESH = "fresh"
    UNFINISHED = "unfinished"
    OVER = "over"
    ANOTHER = "another run"


def standing(directory: Path, identity: str) -> Standing:
    """Where the run with this identity stands in this directory. One that failed may be tried again."""
    if not is_claimed(directory):
        return Standing.FRESH
    status = read_status(directory)
    if status.get("identity") != identity:
        return Standing.ANOTHER
    return Standing.OVER if status.get("status") in OVER else Standing.UNFINISHED


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


def begin(directory: Path, config: str, identity: str, torch_threads: int) -> None:
    """Write what is needed to repeat the run: config, command, versions, threads."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / CONFIG).write_text(config, encoding="utf-8")
        write_json(
            directory / STATUS,
            {
                "status": Status.RUNNING,
                "identity": identity,
                "started": now(),
                "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
                "torch_threads": torch_threads,
                "versions": versions(),
            },
        )
    except OSError as error:
        remedy = "free some space or choose another directory: hydra.run.dir=..."
        raise unwritable("The run directory", error, directory, remedy, key="hydra.run.dir") from error


def reopen(directory: Path, kind: str | None) -> None:
    """Note that the run goes on, and how; what went wrong before is over. A kind of None begins it afresh."""
    (directory / ERROR_LOG).unlink(missing_ok=True)
    before = read_status(directory)
    kept = {key: value for key, value in before.items() if key not in ("ended", "error")}
    # What was approximate once stays it.
    resume = {} if kind is None else {"resumed": now(), "resume": before.get("resume", kind) if kind == EXACT else kind}
    write_json(directory / STATUS, {**kept, "status": Status.RUNNING, **resume})


def note_changes(directory: Path, step: int, changes: Sequence[str]) -> None:
    """Note that the run goes on from an env step with another config than it was trained with."""
    before = read_status(directory)
    told = [*before.get("changes", ()), {"step": step, "changes": list(changes)}]
    write_json(directory / STATUS, {**before, "changes": told})


def note_sweep(directory: Path, identities: Sequence[str], arguments: Sequence[str]) -> None:
    """Note which runs a sweep has, and the command that asked for them; raises OSError where it cannot.

    A sweep may come in batches: what the same command has noted stays.
    """
    before = read_sweep(directory)
    earlier = before.identities if before is not None and before.arguments == list(arguments) else []
    directory.mkdir(parents=True, exist_ok=True)
    runs = list(dict.fromkeys([*earlier, *identities]))
    write_json(directory / SWEEP, {"runs": runs, "arguments": list(arguments), "folder": str(Path.cwd())})


def how_to_go_on(directory: Path, shown: str) -> str:
    """The command that goes on with a run or a sweep; a search decides itself what to go on with, so it is its own."""
    sweep = read_sweep(directory)
    if sweep is not None and is_search(directory):
        return shlex.join(["acexp", *sweep.arguments])
    return f"acexp resume {shown}"


def is_search(directory: Path) -> bool:
    """Whether the sweep's runs are trials of a search."""
    return (directory / SEARCH_FOLDER).is_dir()


def unstarted(sweep: Sweep | None, begun: Sequence[Path]) -> int:
    """How many of a sweep's runs have no directory yet."""
    if sweep is None:
        return 0
    known: set[object] = set()
    for run in begun:
        with suppress(UserError):
            known.add(read_status(run).get("identity"))
    return len(set(sweep.identities) - known)


def read_sweep(directory: Path) -> Sweep | None:
    """What `note_sweep` noted; None where there is nothing of it, or nothing that can be read."""
    try:
        told = json.loads((directory / SWEEP).read_text(encoding="utf-8"))
        runs, arguments = ([str(part) for part in told[key]] for key in ("runs", "arguments"))
        return Sweep(runs, arguments, Path(told["folder"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_status(directory: Path) -> dict[str, Any]:
    """What status.json says; raises UserError where there is no run."""
    try:
        status: dict[str, Any] = json.loads((directory / STATUS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(
            "The run's status.json cannot be read.",
            value=str(directory / STATUS),
            remedy="restore it from a copy, or move the directory away and train anew",
        ) from None
    return status


def state(directory: Path, status: Mapping[str, Any]) -> str:
    """What a status that was read comes to now: one of Status, or KILLED."""
    told = str(status["status"])
    return KILLED if told == Status.RUNNING and not is_held(directory) else told


def runs_in(directory: Path) -> list[Path]:
    """The run directories here: this one, or those of a sweep; raises UserError where there is none."""
    found = [directory] if is_claimed(directory) else runs_below(directory)
    if not found and read_sweep(directory) is None:
        raise UserError(
            "This is no run directory, and no sweep's: there is no status.json in it or below.",
            value=str(directory),
            remedy="name a directory under outputs/ that acexp has made",
        )
    return found


def require_one_run(directory: Path, problem: str) -> None:
    """Raise UserError, with the runs to choose from, unless this is the directory of a single run."""
    runs = runs_in(directory)
    if runs != [directory]:
        raise UserError(
            f"{problem}, and this is a sweep's directory.",
            value=str(directory),
            choices=tuple(run.name for run in runs),
            remedy="name the directory of one of its runs",
        )


def runs_below(directory: Path) -> list[Path]:
    """The directories of a sweep's runs that have begun."""
    return sorted(path.parent for path in directory.glob(f"*/{STATUS}"))


def finish(
    directory: Path, status: Status, results: Mapping[str, Any], timings: Mapping[str, float], error: str | None
) -> None:
    """Write what the run came to: summary and status."""
    write_json(directory / SUMMARY, {"status": status, **results, **timings})
    end(directory, status, {"steps": results["steps"], **timings, **({"error": error} if error else {})})


def end(directory: Path, status: Status, details: Mapping[str, Any]) -> None:
    """Bring the status up to date, with what else is to be said about the end."""
    write_json(directory / STATUS, {**read_status(directory), "status": status, "ended": now(), **details})


def versions(packages: Iterable[str] = RECORDED_PACKAGES) -> dict[str, str]:
    """Of Python and of packages, where they are installed; of those that decide what a run does, unless told which."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
