"""About how long runs will take, by the rates of earlier runs on this machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from acexp.config.saved import read_settings
from acexp.core.errors import UserError
from acexp.runs import run_directory

NEWEST = 100
"""The number of earlier runs that are read at most."""


def measured_rates(folder: Path) -> dict[str, list[float]]:
    """Return the env steps per second of the newest runs below a folder, each of its whole population, by environment.

    Files that cannot be read are left out.
    """
    rates: dict[str, list[float]] = {}
    newest = sorted(folder.rglob(run_directory.STATUS), key=lambda path: path.stat().st_mtime, reverse=True)
    for run in (path.parent for path in newest[:NEWEST]):
        with suppress(UserError, OSError, ValueError, TypeError):
            rate = float(run_directory.read_status(run).get("steps_per_second") or 0.0)
            if rate > 0.0:
                rates.setdefault(str(read_settings(run / run_directory.CONFIG)["env.id"]), []).append(rate)
    return rates


def seconds_for(populations: Iterable[float], places: int) -> float:
    """Return the seconds until all populations are trained, from the seconds of each, in their order."""
    busy: Sequence[float] = [0.0] * max(1, places)
    for seconds in populations:
        first, *others = sorted(busy)
        busy = [first + seconds, *others]
    return max(busy)
