"""Cells, the groups of runs that differ only in their seed, and the factors that distinguish them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from acexp.config.effects import SOMETIMES_WITHOUT_EFFECT
from acexp.core.errors import UserError
from acexp.report.records import Record

ABSENT = "-"
"""The level of a setting that a run does not have: `optim.trunk` of separate networks, for instance."""

EVERY_RUN = "all runs"
"""The name of the cell of runs between which no setting differs."""

Levels = Mapping[str, str]
"""The level of each factor, by the name of the factor."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One experiment: the runs of a config that differ only in their seed.

    Attributes:
        environment: the id of the environment.
        levels: the level of each factor.
        records: the runs, in the order of their seeds.
    """

    environment: str
    levels: Levels
    records: tuple[Record, ...]

    @property
    def name(self) -> str:
        """The name of the experiment, made of its factors and levels."""
        return name_of(self.levels)

    @property
    def done(self) -> tuple[Record, ...]:
        """The runs that are done; only these count in the results."""
        return tuple(record for record in self.records if record.is_done)


def name_of(levels: Levels) -> str:
    """Return the name of the experiment with these levels, for instance `arch=shared, optim=dual`."""
    known = [f"{factor}={level}" for factor, level in levels.items() if level != ABSENT]
    return ", ".join(known) or EVERY_RUN


@dataclass(frozen=True, slots=True)
class Grid:
    """All cells, and the factors in which they differ.

    Attributes:
        cells: the cells, in the order of their environments and levels.
        factors: the levels of each factor, in the order in which tables show them.
        repeats: the directories of runs that are left out because they equal another run, seed included.
    """

    cells: tuple[Cell, ...]
    factors: Mapping[str, tuple[str, ...]]
    repeats: tuple[Path, ...]

    @property
    def environments(self) -> tuple[str, ...]:
        """The ids of all environments."""
        return tuple(dict.fromkeys(cell.environment for cell in self.cells))

    def of(self, environment: str) -> tuple[Cell, ...]:
        """Return the cells of an environment."""
        return tuple(cell for cell in self.cells if cell.environment == environment)

    def __iter__(self) -> Iterator[Cell]:
        return iter(self.cells)


def divide(records: Sequence[Record]) -> Grid:
    """Divide runs into cells. A factor is a setting that differs between runs of one environment.

    A setting that differs only between environments is no factor, because environments have settings of their own.
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
    """Return the keys of the settings that vary within an environment, with the name of each as a factor."""
    varying: dict[str, None] = {}
    for environment in dict.fromkeys(record.environment for record in records):
        mine = [record.settings for record in records if record.environment == environment]
        keys = dict.fromkeys(key for settings in mine for key in settings)
        varying |= dict.fromkeys(key for key in keys if _varies(key, mine))
    # Names come first, because other settings that change together with a name are consequences of it.
    ordered = sorted(varying, key=lambda key: (not key.endswith(".name"), key.count(".")))
    kept: list[str] = []
    for key in ordered:
        if not any(_group(key) == _group(other) and _follows(key, other, records) for other in kept):
            kept.append(key)
    return {key: key.removesuffix(".name") for key in varying if key in kept}


def _varies(key: str, settings: Sequence[Mapping[str, str]]) -> bool:
    """Return True if a setting has several values; its absence does not count if it may be without effect."""
    values = {each.get(key, ABSENT) for each in settings}
    return len(values - {ABSENT} if key in SOMETIMES_WITHOUT_EFFECT else values) > 1


def _group(key: str) -> str:
    return key.partition(".")[0]


def _follows(key: str, other: str, records: Sequence[Record]) -> bool:
    """Return True if, in every environment, the value of `other` determines that of `key`."""
    pairs = {(r.environment, r.settings.get(other, ABSENT), r.settings.get(key, ABSENT)) for r in records}
    return len(pairs) == len({pair[:2] for pair in pairs})


def _natural(level: str) -> tuple[int, float, str]:
    """Return a sort key that puts numbers in the order of their size, and words after them."""
    try:
        return 0, float(level), level
    except ValueError:
        return 1, 0.0, level


@dataclass(frozen=True, slots=True)
class Baseline:
    """The levels whose cells the other cells are compared with.

    Attributes:
        levels: the requested levels, `arch=shared` or several; None for the first cell of each environment.
    """

    levels: Levels | None

    def counterpart(self, cell: Cell, grid: Grid) -> Cell | None:
        """Return the cell that differs from `cell` only by having the baseline's levels.

        Returns None if `cell` has these levels itself, or if there is no such cell. If no cell is equal in all other
        levels, levels that are absent in one of the two cells are ignored, provided that this leaves a single cell:
        the owner of the trunk, for instance, exists with two optimizers but not with one.
        """
        cells = grid.of(cell.environment)
        if self.levels is None:
            return None if cell is cells[0] else cells[0]
        if self.levels.items() <= cell.levels.items():
            return None
        target = {**cell.levels, **self.levels}
        having = [other for other in cells if self.levels.items() <= other.levels.items()]
        equal = [other for other in having if dict(other.levels) == target]
        near = [other for other in having if _agree(target, other.levels)]
        return next(iter(equal or near), None) if equal or len(near) == 1 else None

    @property
    def name(self) -> str:
        """The baseline as reports name it."""
        return "the first of each environment" if self.levels is None else name_of(self.levels)


def _agree(a: Levels, b: Levels) -> bool:
    return all(a[factor] == b[factor] or ABSENT in (a[factor], b[factor]) for factor in a)


def baseline(text: str | None, grid: Grid) -> Baseline:
    """Parse a baseline such as `arch=shared,clip.max_norm=0.5`; raise UserError if a factor or level does not exist."""
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
