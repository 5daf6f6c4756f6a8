"""Comparisons of cells with their baseline: the difference, its uncertainty, and a sentence that states both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from acexp.report.cells import ABSENT, Baseline, Cell, Grid, Levels, name_of
from acexp.report.inference import (
    LEVEL,
    bootstrap_difference,
    fewest_seeds,
    holm,
    mean,
    permutation_test,
    probability_of_improvement,
    seeds_needed,
)
from acexp.report.numbers import number
from acexp.report.scores import SEED, CellScores, Estimate

FEWEST_PAIRS = 2


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of a cell with its baseline.

    Attributes:
        cell, baseline: the two cells that are compared.
        n: the number of pairs of runs with the same seed; without pairs, the number of runs of the smaller cell.
        is_paired: whether runs with the same seed are compared in pairs.
        n_left_out: the number of runs without a partner.
        difference: the difference of means, the cell's minus the baseline's.
        probability: the probability that a run of the cell beats one of the baseline.
        p: the p-value of equal means, by permutation.
        p_corrected: `p` after Holm's correction over all comparisons of the report.
        needed: the number of seeds that would show a difference as large as this; None if it is unknown.
        verb: the verb of the sentence, which says what the cell with the higher score does to the other.
    """

    cell: Cell
    baseline: Cell
    n: int
    is_paired: bool
    n_left_out: int
    difference: Estimate
    probability: float
    p: float
    p_corrected: float
    needed: int | None
    verb: str

    @property
    def is_decided(self) -> bool:
        """Whether the runs show which of the two cells is better."""
        inside = self.difference.interval
        return inside is not None and inside.low * inside.high > 0 and self.p_corrected <= 1.0 - LEVEL

    @property
    def sentence(self) -> str:
        """The result as a sentence that can be quoted."""
        one, other = _names(self.cell, self.baseline)
        where = f"On {self.cell.environment}"
        interval = self.difference.interval
        if interval is None:
            needed = fewest_seeds(1.0 - LEVEL, paired=True)
            return f"{where}, one seed cannot tell {one} from {other}: at least {needed} are needed (n = {self.n})."
        if self.is_decided:
            is_above = self.difference.value > 0
            winner, loser = (one, other) if is_above else (other, one)
            low, high = sorted(map(abs, interval))
            distance = f"{number(abs(self.difference.value))} [{number(low)}, {number(high)}]"
            probability = self.probability if is_above else 1.0 - self.probability
            return f"{where}, {winner} {self.verb} {loser} by {distance}, P = {probability:.2f}, n = {self.n}."
        if interval.low == interval.high == 0:
            return f"{where}, {one} and {other} reach the same with each of {self.n} seeds."
        inside = f"{number(self.difference.value)} [{number(interval.low)}, {number(interval.high)}]"
        undecided = f"{where}, too few seeds to tell {one} from {other}: difference {inside}"
        undecided += f", P = {self.probability:.2f}, n = {self.n}"
        if self.needed is None:
            return f"{undecided}; the means are equal."
        return f"{undecided}; about {max(self.needed, self.n + 1):,} would be needed."


def _names(cell: Cell, baseline: Cell) -> tuple[str, str]:
    """Return the names of both cells by the levels in which they differ; the first also has the levels they share."""
    differ = [factor for factor in cell.levels if cell.levels[factor] != baseline.levels[factor]]
    shared = {factor: level for factor, level in cell.levels.items() if factor not in differ and level != ABSENT}
    one, other = (_name({factor: each.levels[factor] for factor in differ}) for each in (cell, baseline))
    return f"{one} ({name_of(shared)})" if shared else one, other


def _name(levels: Levels) -> str:
    """Return the name of a cell by these levels, or by the settings that it lacks if it has none of them."""
    return name_of(levels) if set(levels.values()) != {ABSENT} else f"no {' and no '.join(levels)}"


def compare(scores: Sequence[CellScores], grid: Grid, baseline: Baseline, verb: str) -> list[Comparison]:
    """Compare every cell that has a baseline, if both have scores; p-values are corrected over all comparisons."""
    pairs = []
    by_cell = {id(each.cell): each for each in scores}
    for one in scores:
        counterpart = baseline.counterpart(one.cell, grid)
        if counterpart is not None and one.by_seed and by_cell[id(counterpart)].by_seed:
            pairs.append((one, by_cell[id(counterpart)]))
    found = [_compare(one, other, len(pairs), verb) for one, other in pairs]
    corrected = holm([comparison.p for comparison in found])
    return [replace(comparison, p_corrected=p) for comparison, p in zip(found, corrected, strict=True)]


def _compare(one: CellScores, other: CellScores, n_comparisons: int, verb: str) -> Comparison:
    common = [seed for seed in one.by_seed if seed in other.by_seed]
    larger = max(len(one.by_seed), len(other.by_seed))
    is_paired = len(common) >= FEWEST_PAIRS and 2 * len(common) > larger
    x, y = one.values, other.values
    if is_paired:
        x, y = (np.array([side.by_seed[seed] for seed in common]) for side in (one, other))
    return Comparison(
        cell=one.cell,
        baseline=other.cell,
        n=min(len(x), len(y)),
        is_paired=is_paired,
        n_left_out=len(one.by_seed) + len(other.by_seed) - len(x) - len(y),
        difference=Estimate.of(float(x.mean() - y.mean()), bootstrap_difference(x, y, mean, SEED, paired=is_paired)),
        probability=probability_of_improvement(x, y),
        p=permutation_test(x, y, SEED, paired=is_paired) if min(len(x), len(y)) > 1 else 1.0,
        p_corrected=math.nan,
        needed=seeds_needed(x, y, paired=is_paired, n_comparisons=n_comparisons),
        verb=verb,
    )
