"""The effect of each level, in returns and in percent of what the preset learns, with the report's own statistics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from data import CHANCE, read, saved
from numpy.typing import NDArray
from plan import CHOICES, ENVIRONMENTS, SEEDS, Cell, Choice, Environment, cells

from acexp.report.inference import Mean, holm, p_of_equal_means, probability_of_improvement
from acexp.report.scores import SEED, Estimate

Floats = NDArray[np.float64]

SCORE = "score"
DIVERGED = "diverged"
ALL = "all"
"""What stands for the mean over environments where an environment is named."""


@dataclass(frozen=True)
class Effect:
    """How one cell differs from another one, in one environment or in the mean over several.

    Attributes:
        where: the title of the environment, or ALL.
        level, other: the level, and the one that it is compared with.
        score: the mean score of the level; None over environments.
        difference: the difference of mean scores; None over environments.
        percent: the difference in percent of the preset's mean score above that of random actions. Over environments,
            it is the mean of theirs for each seed, whose interval is over seeds: other environments may differ.
        probability: the probability that a run of the level beats one of the other, the mean over environments.
        p: the p-value of equal means; corrected by `corrected`.
        n: the number of seeds that both have.
        n_environments: the number of environments.
        n_diverged: how many of the level's runs have diverged.
    """

    where: str
    level: str
    other: str
    score: Estimate | None
    difference: Estimate | None
    percent: Estimate
    probability: float
    p: float
    n: int
    n_environments: int = 1
    n_diverged: int = 0


def runs_of(cell: Cell) -> pd.DataFrame | None:
    """Return the runs of a cell by seed; None if it has not been run.

    A run that has diverged leaves no policy: it scores what random actions do.
    """
    path = saved(cell)
    if path is None:
        return None
    runs = read(path)
    runs[DIVERGED] = runs[SCORE].isna()
    runs[SCORE] = runs[SCORE].fillna(random_return(cell.environment))
    return runs


def preset(environment: Environment) -> pd.DataFrame | None:
    """Return the runs of an environment's preset of A2C."""
    (cell,) = cells(environment, CHOICES["preset"])
    return runs_of(cell)


def random_return(environment: Environment) -> float:
    """Return the mean return of random actions."""
    table = pd.read_csv(CHANCE).set_index("environment")
    return float(table.loc[environment.name, "mean"])


def one_percent(environment: Environment) -> float:
    """Return the return that counts as one percent: of what the preset learns, from the score of random actions on."""
    runs = preset(environment)
    assert runs is not None
    return (float(runs[SCORE].mean()) - random_return(environment)) / 100.0


def pairs(
    choice: Choice, level: str, against: tuple[Choice, str], measure: str = SCORE
) -> Iterator[tuple[Environment, Floats, Floats, pd.Index]]:
    """Yield each environment that has both levels, with what each reaches, and the seeds that both have."""
    other_choice, other_level = against
    for environment in ENVIRONMENTS.values():
        if not (choice.concerns(environment) and other_choice.concerns(environment)) or preset(environment) is None:
            continue
        one, other = _runs(environment, choice, level), _runs(environment, other_choice, other_level)
        if one is None or other is None or measure not in one or measure not in other:
            continue
        seeds = one[measure].dropna().index.intersection(other[measure].dropna().index)
        if len(seeds):
            a, b = (table.loc[seeds, measure].to_numpy(np.float64) for table in (one, other))
            yield environment, a, b, seeds


def _n_diverged(environment: Environment, choice: Choice, level: str) -> int:
    """Return how many runs of a level have diverged."""
    runs = _runs(environment, choice, level)
    return 0 if runs is None else int(runs[DIVERGED].sum())


def _runs(environment: Environment, choice: Choice, level: str) -> pd.DataFrame | None:
    found = next((cell for cell in cells(environment, replace(choice, levels=(level,)))), None)
    return None if found is None else runs_of(found)


def effects(choice: Choice, level: str, against: tuple[Choice, str]) -> list[Effect]:
    """Return the effect in each environment, and in their mean if there are several that count."""
    found, shares, chances, diverged = [], [], [], 0
    for environment, a, b, seeds in pairs(choice, level, against):
        unit = one_percent(environment)
        p, probability = p_of_equal_means(a, b, SEED, paired=True), probability_of_improvement(a, b)
        difference, share = Mean.of_difference(a, b, paired=True), Mean.of((a - b) / unit)
        found.append(
            Effect(
                environment.title,
                level,
                against[1],
                Estimate.of_mean(Mean.of(a)),
                Estimate.of_mean(difference),
                Estimate.of_mean(share),
                probability,
                p,
                len(seeds),
                n_diverged=_n_diverged(environment, choice, level),
            )
        )
        if environment.counts and tuple(seeds) == SEEDS:
            shares.append((a - b) / unit)
            chances.append(probability)
            diverged += found[-1].n_diverged
    if len(shares) > 1:
        by_seed = np.mean(shares, axis=0)
        zero = np.zeros_like(by_seed)
        p = p_of_equal_means(by_seed, zero, SEED, paired=True)
        mean = Estimate.of_mean(Mean.of(by_seed))
        chance = float(np.mean(chances))
        found.append(Effect(ALL, level, against[1], None, None, mean, chance, p, len(by_seed), len(shares), diverged))
    return found


def of_choice(choice: Choice) -> list[Effect]:
    """Return the effects of all levels of a choice against the preset, with corrected p-values.

    The preset's own level has none: it is the same cell.
    """
    against = (replace(CHOICES["preset"], preset=choice.preset), "")
    found = [each for level in choice.levels for each in effects(choice, level, against) if not _is_same(each)]
    return corrected(found)


def corrected(found: Sequence[Effect]) -> list[Effect]:
    """Return effects with Holm's correction of their p-values for each other."""
    return [replace(each, p=p) for each, p in zip(found, holm([each.p for each in found]), strict=True)]


def _is_same(effect: Effect) -> bool:
    return effect.percent.interval is not None and effect.percent.interval == (0.0, 0.0)


def in_percent(estimate: Estimate | None) -> str | None:
    """Return an estimate in whole percent, with signs."""
    if estimate is None:
        return None
    interval = "" if estimate.interval is None else f" [{estimate.interval.low:+.0f}, {estimate.interval.high:+.0f}]"
    return f"{estimate.value:+.0f}{interval}"
