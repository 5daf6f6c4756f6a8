"""The files of a sweep's directory, beside those of its runs: sweep.json, and search.json for a search."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from acexp.config.keys import present_override
from acexp.core.errors import UserError
from acexp.runs import run_directory
from acexp.runs.foreign import is_from_acexp, refuse_overwriting
from acexp.system.files import read_json, write_json
from acexp.system.lock import holder, is_locked

SWEEP = "sweep.json"
SEARCH = "search.json"
SEARCH_FOLDER = ".search"
HYDRAS_SWEEP = "multirun.yaml"
"""Hydra's file in the directory of a sweep, also of one whose runs Hydra's basic launcher trains."""


class SweepCommand(NamedTuple):
    """A command that trains a sweep.

    Attributes:
        arguments: Its command-line arguments.
        folder: The working directory in which it was given.
    """

    arguments: list[str]
    folder: Path


class Sweep(NamedTuple):
    """The sweeps in one directory: usually one, which one command trains.

    Attributes:
        identities: The identities of their runs.
        commands: The commands that train them.
    """

    identities: list[str]
    commands: list[SweepCommand]


def note_sweep(directory: Path, identities: Sequence[str], arguments: Sequence[str]) -> None:
    """Write which runs a command trains in a sweep's directory; raises OSError where that fails.

    Runs and commands that were written before stay, but for those of a command whose runs the new one trains too.
    """
    before = read_sweep(directory) or Sweep([], [])
    known, mine = set(before.identities), set(identities)
    commands = [SweepCommand(list(arguments), Path.cwd())]
    if not (known <= mine or is_search(directory)):
        others = [command for command in before.commands if command.arguments != list(arguments)]
        commands = before.commands if mine <= known else [*others, *commands]
    directory.mkdir(parents=True, exist_ok=True)
    content = {
        "runs": list(dict.fromkeys([*before.identities, *identities])),
        "commands": [{"arguments": command.arguments, "folder": str(command.folder)} for command in commands],
    }
    write_json(directory / SWEEP, content)


def claim_sweep(directory: Path, key: str) -> None:
    """Raise UserError if the directory is a run's, or holds files of others that a sweep would overwrite.

    `key` is the setting that names the directory.
    """
    if run_directory.is_claimed(directory):
        raise UserError(
            "This is the directory of a single run, and a sweep has one of its own.",
            key=key,
            value=str(directory),
            remedy=f"choose another one: {key}=...",
        )
    if read_sweep(directory) is not None:
        return
    found = [name for name in (SWEEP, SEARCH) if (directory / name).exists() and not is_search(directory)]
    if (directory / HYDRAS_SWEEP).exists() and not is_from_acexp(directory / HYDRAS_SWEEP):
        found.append(HYDRAS_SWEEP)
    refuse_overwriting(directory, found, key)


def n_others(directory: Path, identities: Sequence[str]) -> int:
    """Return how many runs of other sweeps the directory holds, if these are no part of one of them."""
    before = read_sweep(directory) or Sweep([], [])
    known, mine = set(before.identities), set(identities)
    return 0 if mine <= known else len(known - mine)


def refuse_search(directory: Path, key: str) -> None:
    """Raise UserError if the directory, which is meant for a sweep, holds a search.

    `key` is the setting that names the directory.
    """
    if read_sweep(directory) is not None and is_search(directory):
        raise UserError(
            "This directory already holds a search.",
            key=key,
            value=str(directory),
            remedy="give another name (name=...)",
        )


def refuse_sweep(directory: Path, key: str) -> None:
    """Raise UserError if the directory, which is meant for a search, holds a sweep.

    One without runs is a search that another process has just begun.
    """
    before = read_sweep(directory)
    if before is not None and before.identities and not is_search(directory):
        raise UserError(
            "This directory already holds a sweep that is no search.",
            key=key,
            value=str(directory),
            remedy="give another name (name=...)",
        )


def read_sweep(directory: Path) -> Sweep | None:
    """Return what `note_sweep` wrote; None if there is nothing, or nothing readable."""
    try:
        content = json.loads((directory / SWEEP).read_text(encoding="utf-8"))
        # Up to version 0.1, a directory had a single command.
        commands = [
            SweepCommand([present_override(str(argument)) for argument in each["arguments"]], Path(each["folder"]))
            for each in content.get("commands", [content])
        ]
        return Sweep([str(run) for run in content["runs"]], commands)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def unstarted(sweep: Sweep | None, begun: Sequence[Path]) -> int:
    """Return how many of a sweep's runs have no directory yet."""
    if sweep is None:
        return 0
    known: set[object] = set()
    for run in begun:
        with suppress(UserError):
            known.add(run_directory.read_status(run).get("identity"))
    return len(set(sweep.identities) - known)


def identities(directory: Path) -> dict[str, str]:
    """Return the identities of the runs that have begun in a sweep's directory, by the names of theirs."""
    found = {}
    for run in run_directory.runs_below(directory):
        with suppress(UserError):
            found[run.name] = str(run_directory.read_status(run).get("identity"))
    return found


def is_search(directory: Path) -> bool:
    """Return True if the sweep's runs are trials of a search."""
    return (directory / SEARCH_FOLDER).is_dir()


def write_search(directory: Path, content: Mapping[str, Any]) -> None:
    """Write what is known of a search's trials; raises OSError where that fails."""
    write_json(directory / SEARCH, content)


def read_search(directory: Path) -> dict[str, Any]:
    """Return what `write_search` wrote, empty if there is none; raises OSError or ValueError if unreadable."""
    return read_json(directory / SEARCH)


def searches_below(directory: Path) -> list[Path]:
    """Return this directory and those below it that hold a search."""
    return sorted(path.parent for path in directory.rglob(SEARCH))


def sweeps_below(directory: Path) -> dict[Path, Sweep]:
    """Return every sweep in or below a directory, by its directory."""
    folders = sorted(path.parent for path in directory.rglob(SWEEP))
    return {folder: sweep for folder in folders if (sweep := read_sweep(folder)) is not None}


def command_to_continue(directory: Path, shown: str) -> str:
    """Return the command that continues a run or a sweep; for a search, which chooses its runs, its own command."""
    sweep = read_sweep(directory)
    if sweep is not None and is_search(directory):
        return shlex.join(["acexp", *sweep.commands[-1].arguments])
    return f"acexp resume {shown}"


def runs_in(directory: Path) -> list[Path]:
    """Return this run's directory, or those of a sweep's runs; raises UserError if it is neither a run nor a sweep."""
    found = [directory] if run_directory.is_claimed(directory) else run_directory.runs_below(directory)
    if not found and read_sweep(directory) is None:
        raise UserError(
            "This is no run directory, and no sweep's.",
            value=str(directory),
            remedy="name one that `acexp status` lists",
        )
    return found


def refuse_trained(runs: Iterable[Path]) -> None:
    """Raise UserError if another process trains some of these runs of a sweep; each of them would fail for itself."""
    trained = [run for run in runs if is_locked(run)]
    if trained:
        raise UserError(
            f"{len(trained)} runs of this sweep are being trained: {holder(trained[0])}.",
            value=str(trained[0].parent),
            remedy="wait until they have ended, or stop that process; `acexp status` shows how far they are",
        )


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
