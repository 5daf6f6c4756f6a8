"""Comparisons of cells with their baseline: the difference, its uncertainty, and a sentence that states both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from acexp.core.numbers import number
from acexp.report.cells import ABSENT, Baseline, Cell, Grid, Levels, name_of
from acexp.report.inference import (
    ERROR,
    MOST_SEEDS,
    RESAMPLES,
    Mean,
    fewest_seeds,
    holm,
    p_of_equal_means,
    probability_of_improvement,
    seeds_needed,
)
from acexp.report.scores import SEED, CellScores, Estimate

RESAMPLES_PER_COMPARISON = 40
"""The random arrangements for each comparison that are enough for a p-value that is significant after Holm."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of a cell with its baseline.

    Attributes:
        cell, baseline: the two cells that are compared.
        n: the number of pairs of runs with the same seed; without pairs, the number of runs of the smaller cell.
        is_paired: whether runs with the same seed are compared in pairs. They are not if the pairs are so few that no
            difference between them could ever be certain.
        n_left_out: the number of runs without a partner.
        difference: the difference of means, the cell's minus the baseline's.
        probability: the probability that a run of the cell beats one of the baseline.
        p: the p-value of equal means.
        p_corrected: `p` after Holm's correction over all comparisons of the report.
        fewest: the number of seeds below which no difference can be certain.
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
    fewest: int
    needed: int | None
    verb: str

    @property
    def is_decided(self) -> bool:
        """Whether the runs show which of the two cells is better."""
        return self.p_corrected <= ERROR

    @property
    def seeds_to_settle(self) -> int | None:
        """The number of seeds that would probably settle it; None if it is decided, or if the number is unknown."""
        return None if self.is_decided or self.needed is None else max(self.needed, self.n + 1)

    @property
    def sentence(self) -> str:
        """The result as a sentence that can be quoted."""
        one, other = _names(self.cell, self.baseline)
        where = f"On {self.cell.environment}"
        interval = self.difference.interval
        if interval is None:
            least = f"at least {self.fewest} are needed"
            return f"{where}, {too_few(self.n)} tell {one} from {other}: {least} (n = {self.n})."
        if interval.low == interval.high == 0:
            return f"{where}, {one} and {other} reach the same with each of {self.n} seeds."
        n = f"n = {self.n}" if self.is_paired else f"n = {self.n}, unpaired"
        if self.is_decided:
            is_above = self.difference.value > 0
            winner, loser = (one, other) if is_above else (other, one)
            low, high = sorted(map(abs, interval))
            distance = f"{number(abs(self.difference.value))} [{number(low)}, {number(high)}]"
            probability = self.probability if is_above else 1.0 - self.probability
            return f"{where}, {winner} {self.verb} {loser} by {distance}, P = {probability:.2f}, {n}."
        inside = f"{number(self.difference.value)} [{number(interval.low)}, {number(interval.high)}]"
        but = f", but corrected p = {self.p_corrected:.2g}" if interval.low * interval.high > 0 else ""
        undecided = f"{where}, too few seeds to tell {one} from {other}: difference {inside}{but}"
        undecided += f", P = {self.probability:.2f}, {n}"
        if self.seeds_to_settle is None:
            return f"{undecided}; the means are equal."
        return f"{undecided}; {about(self.seeds_to_settle)} would be needed."


def about(n_seeds: int) -> str:
    """Return an estimated number of seeds as text; large ones are as good as out of reach."""
    return f"about {n_seeds:,}" if n_seeds <= MOST_SEEDS else f"over {MOST_SEEDS:,}"


def too_few(n: int) -> str:
    """Return the beginning of a sentence about what so few seeds, one or two, cannot do."""
    return f"{'one seed' if n == 1 else 'two seeds'} cannot"


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
    pairs = [np.array([side.by_seed[seed] for seed in common]) for side in (one, other)]
    fewest_pairs = fewest_seeds(ERROR / n_comparisons, paired=True)
    is_shared = 2 * len(common) > max(len(one.by_seed), len(other.by_seed))
    # Pairs that are too few for a small p-value can still show that nothing differs.
    is_paired = is_shared and (len(common) >= fewest_pairs or bool((pairs[0] == pairs[1]).all()))
    x, y = pairs if is_paired else (one.values, other.values)
    needed = seeds_needed(x, y, paired=is_paired, n_comparisons=n_comparisons)
    if is_shared and not is_paired and not (needed and len(common) < needed < fewest_pairs):
        # With that many seeds, they would be compared in pairs.
        needed = seeds_needed(*pairs, paired=True, n_comparisons=n_comparisons) or needed
    n = min(len(x), len(y))
    resamples = max(RESAMPLES, RESAMPLES_PER_COMPARISON * n_comparisons)
    return Comparison(
        cell=one.cell,
        baseline=other.cell,
        n=n,
        is_paired=is_paired,
        n_left_out=len(one.by_seed) + len(other.by_seed) - len(x) - len(y),
        difference=Estimate.of_mean(Mean.of_difference(x, y, paired=is_paired)),
        probability=probability_of_improvement(x, y),
        p=p_of_equal_means(x, y, SEED, paired=is_paired, resamples=resamples),
        p_corrected=math.nan,
        fewest=fewest_seeds(ERROR / n_comparisons, paired=False),
        needed=needed,
        verb=verb,
    )
