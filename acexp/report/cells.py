"""Runs that differ in their seed alone, and what sets them apart from others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from acexp.core.errors import UserError
from acexp.report.records import POINTLESS_AT_TIMES, Record

ABSENT = "-"
"""Where a setting does not exist: `optim.trunk` of separate networks, for instance."""

Levels = Mapping[str, str]
"""The value of each factor."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One experiment: a config without its seed.

    Attributes:
        environment: its id.
        levels: the value of each factor.
        records: its runs, by seed.
    """

    environment: str
    levels: Levels
    records: tuple[Record, ...]

    @property
    def name(self) -> str:
        return name_of(self.levels)

    @property
    def done(self) -> tuple[Record, ...]:
        """The runs that count."""
        return tuple(record for record in self.records if record.is_done)


def name_of(levels: Levels) -> str:
    """What sets an experiment apart."""
    known = [f"{factor}={level}" for factor, level in levels.items() if level != ABSENT]
    return ", ".join(known) or "the only one"


@dataclass(frozen=True, slots=True)
class Grid:
    """All cells, and the factors that they lie along.

    Attributes:
        cells: by environment and name.
        factors: the levels of each, in the order in which tables show them.
        repeats: runs that are equal to another, seed included, and therefore left out.
    """

    cells: tuple[Cell, ...]
    factors: Mapping[str, tuple[str, ...]]
    repeats: tuple[Path, ...]

    @property
    def environments(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(cell.environment for cell in self.cells))

    def of(self, environment: str) -> tuple[Cell, ...]:
        """The cells of an environment."""
        return tuple(cell for cell in self.cells if cell.environment == environment)

    def __iter__(self) -> Iterator[Cell]:
        return iter(self.cells)


def divide(records: Sequence[Record]) -> Grid:
    """Runs into cells. A factor is a setting that differs between runs of one environment.

    Environments bring settings of their own, so what differs between environments only is no factor.
    """
    keys = _factors(records)
    groups: dict[tuple[str, tuple[tuple[str, str], ...]], dict[int, Record]] = {}
    repeats = []
    for record in records:
        levels = tuple((label, record.settings.get(key, ABSENT)) for key, label in keys.items())
        seeds = groups.setdefault((record.environment, levels), {})
        known = seeds.get(record.seed)
        if known is None or (record.is_done and not known.is_done):
            seeds[record.seed] = record
        if known is not None:
            repeats.append((record if seeds[record.seed] is known else known).directory)
    values = {
        label: sorted({record.settings.get(key, ABSENT) for record in records}, key=_natural)
        for key, label in keys.items()
    }

    def order(cell: Cell) -> tuple[str, list[int]]:
        return cell.environment, [values[factor].index(level) for factor, level in cell.levels.items()]

    cells = [
        Cell(environment, dict(levels), tuple(seeds[seed] for seed in sorted(seeds)))
        for (environment, levels), seeds in groups.items()
    ]
    factors = {factor: tuple(levels) for factor, levels in values.items()}
    return Grid(tuple(sorted(cells, key=order)), factors, tuple(sorted(repeats)))


def _factors(records: Sequence[Record]) -> dict[str, str]:
    """The keys that vary within an environment, and what to call them."""
    varying: dict[str, None] = {}
    for environment in dict.fromkeys(record.environment for record in records):
        mine = [record.settings for record in records if record.environment == environment]
        keys = dict.fromkeys(key for settings in mine for key in settings)
        varying |= dict.fromkeys(key for key in keys if _varies(key, mine))
    # Names first: what comes along with a choice is a consequence of it.
    ordered = sorted(varying, key=lambda key: (not key.endswith(".name"), key.count(".")))
    kept: list[str] = []
    for key in ordered:
        if not any(_group(key) == _group(other) and _follows(key, other, records) for other in kept):
            kept.append(key)
    return {key: key.removesuffix(".name") for key in varying if key in kept}


def _varies(key: str, settings: Sequence[Mapping[str, str]]) -> bool:
    """Whether it has several values; that it is pointless beside another setting is none."""
    values = {each.get(key, ABSENT) for each in settings}
    return len(values - {ABSENT} if key in POINTLESS_AT_TIMES else values) > 1


def _group(key: str) -> str:
    return key.partition(".")[0]


def _follows(key: str, other: str, records: Sequence[Record]) -> bool:
    """Whether the value of one setting is known from that of the other."""
    pairs = {(r.environment, r.settings.get(other, ABSENT), r.settings.get(key, ABSENT)) for r in records}
    return len(pairs) == len({pair[:2] for pair in pairs})


def _natural(level: str) -> tuple[int, float, str]:
    """Numbers by size, and words after them."""
    try:
        return 0, float(level), level
    except ValueError:
        return 1, 0.0, level


@dataclass(frozen=True, slots=True)
class Baseline:
    """What other cells are compared with.

    Attributes:
        levels: as they were asked for, `arch=shared` or several; None for the first cell of each environment.
    """

    levels: Levels | None

    def counterpart(self, cell: Cell, grid: Grid) -> Cell | None:
        """The cell that differs in the baseline's levels alone; None for one that has them, or where there is none.

        Where no cell is equal in all other levels, a level that does not exist in one of both may be ignored, if that
        leaves a single cell: the trunk's owner of two optimizers, for instance, beside one optimizer.
        """
        cells = grid.of(cell.environment)
        if self.levels is None:
            return None if cell is cells[0] else cells[0]
        if self.levels.items() <= cell.levels.items():
            return None
        wanted = {**cell.levels, **self.levels}
        having = [other for other in cells if self.levels.items() <= other.levels.items()]
        equal = [other for other in having if dict(other.levels) == wanted]
        near = [other for other in having if _agree(wanted, other.levels)]
        return next(iter(equal or near), None) if equal or len(near) == 1 else None

    @property
    def name(self) -> str:
        return "the first of each environment" if self.levels is None else name_of(self.levels)


def _agree(a: Levels, b: Levels) -> bool:
    return all(a[factor] == b[factor] or ABSENT in (a[factor], b[factor]) for factor in a)


def baseline(text: str | None, grid: Grid) -> Baseline:
    """`arch=shared,clip.max_norm=0.5` as a baseline; raises UserError for a factor or a level that is not there."""
    if text is None:
        return Baseline(None)
    levels: dict[str, str] = {}
    for part in re.split(r",(?![^\[]*\])", text):
        factor, _, level = (piece.strip() for piece in part.partition("="))
        if factor not in grid.factors:
            raise UserError(
                f"Nothing called {factor!r} differs between these runs.",
                key="--baseline",
                value=text,
                choices=tuple(f"{name}={level}" for name, levels in grid.factors.items() for level in levels),
            )
        if level not in grid.factors[factor]:
            raise UserError(
                f"No run has {factor}={level}.",
                key="--baseline",
                value=text,
                choices=tuple(f"{factor}={known}" for known in grid.factors[factor]),
            )
        levels[factor] = level
    return Baseline(levels)
