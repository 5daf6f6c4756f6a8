"""The effect of each level, in returns and in percent of what the preset learns, with the report's own statistics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from data import CELL, CHANCE, read, saved
from numpy.typing import NDArray
from plan import CHOICES, ENVIRONMENTS, SEEDS, Cell, Choice, Environment, cell, seeds_of

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
            it is the mean of theirs, whose interval is over seeds: other environments may differ.
        probability: the probability that a run of the level beats one of the other, the mean over environments.
        p: the p-value of equal means; corrected by `corrected`.
        n: the number of the level's seeds.
        n_environments: the number of environments.
        n_diverged: how many of the level's runs have diverged.
        is_same: whether both levels are the same runs.
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
    is_same: bool = False


def runs_of(chosen: Cell, seeds: Sequence[int] | None = None) -> pd.DataFrame | None:
    """Return the runs of a cell by seed, those that decide unless seeds are given; None if there are none.

    A run that has diverged leaves no policy: it scores what random actions do.
    """
    path = saved(chosen)
    if path is None:
        return None
    runs = read(path)
    runs = runs.loc[runs.index.isin(seeds_of(chosen) if seeds is None else seeds)].copy()
    if runs.empty:
        return None
    runs[DIVERGED] = runs[SCORE].isna()
    runs[SCORE] = runs[SCORE].fillna(random_return(chosen.environment))
    return runs


def preset(environment: Environment) -> pd.DataFrame | None:
    """Return the runs of an environment's preset of A2C."""
    return runs_of(cell(environment, CHOICES["preset"], ""))


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
    choice: Choice, level: str, against: tuple[Choice, str], seeds: Sequence[int] | None = None
) -> Iterator[tuple[Environment, pd.DataFrame, pd.DataFrame]]:
    """Yield each environment that has both levels, with the runs of each."""
    other_choice, other_level = against
    for environment in ENVIRONMENTS.values():
        if not (choice.concerns(environment) and other_choice.concerns(environment)) or preset(environment) is None:
            continue
        one = runs_of(cell(environment, choice, level), seeds)
        other = runs_of(cell(environment, other_choice, other_level), seeds)
        if one is not None and other is not None:
            yield environment, one, other


def effects(
    choice: Choice, level: str, against: tuple[Choice, str], seeds: Sequence[int] | None = None
) -> list[Effect]:
    """Return the effect in each environment, and in their mean if there are several that count.

    Runs are not paired by seed: with different settings, those of one seed soon have little in common.
    """
    found: list[Effect] = []
    counted: list[tuple[Effect, Mean]] = []
    for environment, one, other in pairs(choice, level, against, seeds):
        a, b = (runs[SCORE].to_numpy(np.float64) for runs in (one, other))
        is_same = one.index.equals(other.index) and bool((one[CELL] == other[CELL]).all())
        difference = Mean.of_difference(a, b, paired=is_same)
        share = Mean.sum([difference], [1.0 / one_percent(environment)])
        effect = Effect(
            environment.title,
            level,
            against[1],
            Estimate.of_mean(Mean.of(a)),
            Estimate.of_mean(difference),
            Estimate.of_mean(share),
            probability_of_improvement(a, b),
            p_of_equal_means(a, b, SEED, paired=is_same),
            len(a),
            n_diverged=int(one[DIVERGED].sum()),
            is_same=is_same,
        )
        found.append(effect)
        if environment.counts and min(len(a), len(b)) >= len(SEEDS):
            counted.append((effect, share))
    return [*found, _mean(counted)] if len(counted) > 1 else found


def _mean(counted: Sequence[tuple[Effect, Mean]]) -> Effect:
    """Return the mean of a level's effects in several environments."""
    effects_ = [effect for effect, _ in counted]
    share = Mean.sum([share for _, share in counted], [1.0 / len(counted)] * len(counted))
    return replace(
        effects_[0],
        where=ALL,
        score=None,
        difference=None,
        percent=Estimate.of_mean(share),
        probability=float(np.mean([each.probability for each in effects_])),
        p=share.p,
        n=min(each.n for each in effects_),
        n_environments=len(counted),
        n_diverged=sum(each.n_diverged for each in effects_),
        is_same=all(each.is_same for each in effects_),
    )


def of_choice(choice: Choice) -> list[Effect]:
    """Return the effects of all levels of a choice against the preset, with corrected p-values.

    The preset's own level has none: it is the same cell.
    """
    against = (replace(CHOICES["preset"], preset=choice.preset), "")
    found = [each for level in choice.levels for each in effects(choice, level, against) if not each.is_same]
    return corrected(found)


def corrected(found: Sequence[Effect]) -> list[Effect]:
    """Return effects with Holm's correction of their p-values for each other."""
    return [replace(each, p=p) for each, p in zip(found, holm([each.p for each in found]), strict=True)]


def in_percent(estimate: Estimate | None) -> str | None:
    """Return an estimate in whole percent, with signs."""
    if estimate is None:
        return None
    interval = "" if estimate.interval is None else f" [{estimate.interval.low:+.0f}, {estimate.interval.high:+.0f}]"
    return f"{estimate.value:+.0f}{interval}"
