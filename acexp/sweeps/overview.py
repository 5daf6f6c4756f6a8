"""What lies below a folder: every run and every sweep, described by a few facts from its files."""

from __future__ import annotations

import os
import re
import shlex
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acexp.core.errors import UserError
from acexp.runs import run_directory
from acexp.runs.manifest import read_manifest
from acexp.sweeps import sweep_directory

UNREADABLE = "unreadable"
"""The state of a run whose status.json cannot be read."""

UNSTARTED = "not begun"
"""The state of the runs of a sweep that have no directory yet."""

_BRACKETED = re.compile(r"'[^']*'|\"[^\"]*\"|\[[^][]*\]|\{[^{}]*\}|\([^()]*\)")
_SWEEP_FUNCTION = re.compile(r"(choice|glob|interval|range|shuffle|sort|tag)\(")


@dataclass(frozen=True, slots=True)
class Entry:
    """A run or a sweep.

    Attributes:
        directory: Its directory.
        started: When it was started, or the latest of its runs: ISO 8601 in UTC, empty if that is unknown.
        settings: The overrides of a run, or those of a sweep that have several values, as the command line had them.
        states: The number of runs in each state.
        steps: The env steps of each run that has begun.
        returns: The mean return of the last 100 episodes, of each run that has one.
    """

    directory: Path
    started: str
    settings: tuple[str, ...]
    states: Mapping[str, int]
    steps: tuple[int, ...]
    returns: tuple[float, ...]


def is_run_or_sweep(directory: Path) -> bool:
    """Return True if this is the directory of a run or of a sweep, not a folder of several."""
    return run_directory.is_claimed(directory) or _is_sweep({path.name for path in directory.iterdir()})


def entries_below(directory: Path) -> list[Entry]:
    """Return every run and every sweep in or below a folder, the newest first; runs of a sweep are not listed apart."""
    entries = []
    for folder, subfolders, files in os.walk(directory):
        found = Path(folder)
        if run_directory.STATUS in files:
            entries.append(_run(found))
        elif _is_sweep(files):
            entries.append(_sweep(found))
        else:
            continue
        subfolders.clear()
    return sorted(entries, key=lambda entry: (entry.started, entry.directory), reverse=True)


def runs_below(directory: Path) -> list[Path]:
    """Return the directories of all runs in or below a folder, those of sweeps included."""
    return sorted(path.parent for path in directory.rglob(run_directory.STATUS))


def readable_status(run: Path) -> dict[str, Any]:
    """Return the content of a run's status.json; the status UNREADABLE with the reason if it cannot be read."""
    try:
        content = run_directory.read_status(run)
        return {**content, "status": run_directory.current_status(run, content)}
    except UserError as error:
        return {"status": UNREADABLE, "error": error.problem}


def _is_sweep(names: Container[str]) -> bool:
    return sweep_directory.SWEEP in names or sweep_directory.HYDRAS_SWEEP in names


def _run(directory: Path) -> Entry:
    command = shlex.split(str(readable_status(directory).get("command", "")))
    return _entry(directory, [directory], Counter(), _own(command[1:]))


def _sweep(directory: Path) -> Entry:
    runs, sweep = run_directory.runs_below(directory), sweep_directory.read_sweep(directory)
    settings = [] if sweep is None else [own for command in sweep.commands for own in _own(command.arguments)]
    varying = tuple(dict.fromkeys(filter(_has_several_values, settings)))
    return _entry(directory, runs, Counter({UNSTARTED: sweep_directory.unstarted(sweep, runs)}), varying)


def _entry(directory: Path, runs: Sequence[Path], states: Counter[str], settings: tuple[str, ...]) -> Entry:
    statuses = [readable_status(run) for run in runs]
    states = Counter(status["status"] for status in statuses) + states  # a sum leaves out what is zero
    steps = [status.get("steps") or _saved_step(run) for run, status in zip(runs, statuses, strict=True)]
    returns = [value for run in runs if (value := _mean_return(run)) is not None]
    started = max((str(status.get("started", "")) for status in statuses), default="")
    return Entry(directory, started, settings, states, tuple(steps), tuple(returns))


def _saved_step(run: Path) -> int:
    """Return the env step of the newest checkpoint, 0 if there is none; the checkpoint itself is not read."""
    return max(read_manifest(run).steps.values(), default=0)


def _mean_return(run: Path) -> float | None:
    try:
        value = run_directory.read_summary(run).get("mean_return_last_100")
        return None if value is None else float(value)
    except (OSError, ValueError, TypeError):
        return None


def _own(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return the overrides of acexp's own settings in a command line, without Hydra's and without the name."""
    return tuple(
        argument for argument in arguments if "=" in argument and not re.match(r"-|\+*hydra[./]|name=", argument)
    )


def _has_several_values(override: str) -> bool:
    """Return True if an override sweeps over several values: `a,b` or `range(3)`, but not the one list `[1,2]`."""
    value = override.partition("=")[2]
    if _SWEEP_FUNCTION.match(value):
        return True
    while (shorter := _BRACKETED.sub("", value)) != value:
        value = shorter
    return "," in value
