"""The effect of each level, in returns and in percent of what the preset learns, with the report's own statistics."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from choices import ALL_SEEDS, CHOICES, SEEDS, Choice
from data import CHANCE, read, saved, table
from environments import ENVIRONMENTS, Environment
from numpy.typing import NDArray
from plan import Cell, cell, cells, preset_of, seeds_of

from acexp.report.inference import ERROR, Mean, holm, p_of_equal_means, probability_of_improvement
from acexp.report.scores import SEED, Estimate

Floats = NDArray[np.float64]

SCORE, TRAINING, AREA = "score", "training", "area"
MEASURES = {
    SCORE: "the final policy",
    TRAINING: "the end of training",
    AREA: "the whole training",
}
"""What is compared, in columns of the cells' files: the score, the return of the last training episodes, and the mean
of the learning curve, which is its area."""

DIVERGED = "diverged"
ALL = "all"
"""What stands for the mean over environments where an environment is named."""


@dataclass(frozen=True)
class Effect:
    """How one cell differs from another one, in one environment or in the mean over several.

    Attributes:
        where: the title of the environment, or ALL.
        level, other: the level, and the one that it is compared with.
        mean: the mean of what is compared; None over environments.
        difference: the difference of both means; None over environments.
        percent: the difference in percent of the preset's mean above the return of random actions. Over environments,
            it is the mean of theirs, whose interval is over seeds: other environments may differ.
        probability: the probability that a run of the level beats one of the other, the mean over environments.
        p: the p-value of equal means, of a permutation test, and over environments of a t-test of the mean percentage;
            corrected by `corrected`.
        n: the number of the level's seeds.
        n_environments: the number of environments.
        n_diverged: how many of the level's runs have diverged.
    """

    where: str
    level: str
    other: str
    mean: Estimate | None
    difference: Estimate | None
    percent: Estimate
    probability: float
    p: float
    n: int
    n_environments: int = 1
    n_diverged: int = 0


def runs_of(chosen: Cell, seeds: Sequence[int] | None = None) -> pd.DataFrame | None:
    """Return the runs of a cell by seed, those that decide unless seeds are given; None if there are none.

    A run that has diverged leaves no policy: it has the return of random actions.
    """
    path = saved(chosen)
    if path is None:
        return None
    runs = read(path)
    runs = runs.loc[runs.index.isin(seeds_of(chosen) if seeds is None else seeds)].copy()
    if runs.empty:
        return None
    runs[DIVERGED] = runs[SCORE].isna()
    measured = [measure for measure in MEASURES if measure in runs]
    runs[measured] = runs[measured].fillna(random_return(chosen.environment))
    return runs


def preset(environment: Environment) -> pd.DataFrame | None:
    """Return the runs of an environment's preset of A2C."""
    return runs_of(preset_of(environment))


def random_return(environment: Environment) -> float:
    """Return the mean return of random actions."""
    means = table(CHANCE).set_index("environment")["mean"]
    return float(means[environment.name])


def share(
    environment: Environment,
    terms: Sequence[tuple[Cell, float]],
    seeds: Sequence[int] | None = None,
    measure: str = SCORE,
) -> Mean:
    """Return a weighted sum of cells' means in percent of what the preset learns: its mean above random actions.

    The preset's mean is uncertain too, and often one of the terms. By the delta method, the ratio `d / u` of two means
    has the derivatives `1 / u` and `-d / u^2`, and those of the same runs add up.
    """
    base, base_seeds = preset_of(environment), seeds if seeds == ALL_SEEDS else None
    learned = _mean_of(base, base_seeds, measure).value - random_return(environment)
    means = {(term.first, seeds): _mean_of(term, seeds, measure) for term, _ in terms}
    weights: defaultdict[tuple[str, Sequence[int] | None], float] = defaultdict(float)
    for term, weight in terms:
        weights[term.first, seeds] += weight * 100.0 / learned
    percent = math.fsum(weights[key] * mean.value for key, mean in means.items())
    means[base.first, base_seeds] = _mean_of(base, base_seeds, measure)
    weights[base.first, base_seeds] -= percent / learned
    return Mean.sum(list(means.values()), [weights[key] for key in means])._replace(value=percent)


def _mean_of(chosen: Cell, seeds: Sequence[int] | None, measure: str) -> Mean:
    runs = runs_of(chosen, seeds)
    assert runs is not None, chosen
    return Mean.of(runs[measure])


def pairs(
    choice: Choice, level: str, against: tuple[Choice, str], seeds: Sequence[int] | None = None, without: str = ""
) -> Iterator[tuple[Cell, Cell]]:
    """Yield the cells of both levels in each environment that has both, and where they differ.

    `without`: the title of an environment that is left out.
    """
    other_choice, other_level = against
    for environment in ENVIRONMENTS.values():
        is_asked = choice.concerns(environment) and other_choice.concerns(environment) and environment.title != without
        if not is_asked or preset(environment) is None:
            continue
        one, other = cell(environment, choice, level), cell(environment, other_choice, other_level)
        if one.first != other.first and runs_of(one, seeds) is not None and runs_of(other, seeds) is not None:
            yield one, other


def effects(
    choice: Choice,
    level: str,
    against: tuple[Choice, str],
    seeds: Sequence[int] | None = None,
    measure: str = SCORE,
    without: str = "",
) -> list[Effect]:
    """Return the effect in each environment but the one `without`, and in their mean if several count.

    Runs are not paired by seed: with different settings, those of one seed soon have little in common.
    """
    found: list[Effect] = []
    counted: list[tuple[Effect, Mean]] = []
    for one, other in pairs(choice, level, against, seeds, without):
        runs, others = runs_of(one, seeds), runs_of(other, seeds)
        assert runs is not None
        assert others is not None
        a, b = runs[measure].to_numpy(np.float64), others[measure].to_numpy(np.float64)
        percent = share(one.environment, [(one, 1.0), (other, -1.0)], seeds, measure)
        effect = Effect(
            one.environment.title,
            level,
            against[1],
            Estimate.of_mean(Mean.of(a)),
            Estimate.of_mean(Mean.of_difference(a, b, paired=False)),
            Estimate.of_mean(percent),
            probability_of_improvement(a, b),
            p_of_equal_means(a, b, SEED, paired=False),
            len(a),
            n_diverged=int(runs[DIVERGED].sum()),
        )
        found.append(effect)
        if one.environment.counts and min(len(a), len(b)) >= len(SEEDS):
            counted.append((effect, percent))
    return [*found, _mean(counted)] if len(counted) > 1 else found


def _mean(counted: Sequence[tuple[Effect, Mean]]) -> Effect:
    """Return the mean of a level's effects in several environments."""
    effects_ = [effect for effect, _ in counted]
    percent = mean_of([percent for _, percent in counted])
    return replace(
        effects_[0],
        where=ALL,
        mean=None,
        difference=None,
        percent=Estimate.of_mean(percent),
        probability=float(np.mean([each.probability for each in effects_])),
        p=percent.p,
        n=min(each.n for each in effects_),
        n_environments=len(counted),
        n_diverged=sum(each.n_diverged for each in effects_),
    )


def mean_of(means: Sequence[Mean]) -> Mean:
    """Return the mean over environments of independent means."""
    return Mean.sum(means, [1.0 / len(means)] * len(means))


def of_choice(choice: Choice, measure: str = SCORE) -> list[Effect]:
    """Return the effects of all levels of a choice against the preset, with corrected p-values.

    There is none where the preset has the level, and none over environments whose presets have different levels: they
    would be means of different changes.
    """
    against = (replace(CHOICES["preset"], preset=choice.preset), "")
    found = [each for level in choice.levels for each in effects(choice, level, against, measure=measure)]
    is_one_change = len({_level_of_preset(each, choice) for each in _counted(choice)}) == 1
    return corrected([each for each in found if is_one_change or each.where != ALL])


def _counted(choice: Choice) -> list[Environment]:
    """Return the environments that count and have a choice, as far as they have been measured."""
    having = (each for each in ENVIRONMENTS.values() if each.counts and choice.concerns(each))
    return [each for each in having if preset(each) is not None]


def _level_of_preset(environment: Environment, choice: Choice) -> str | None:
    """Return the level of a choice that an environment's preset has; None if it has none of them."""
    first = preset_of(environment, choice.preset).first
    return next((each.level for each in cells(environment, choice) if each.first == first), None)


def corrected(found: Sequence[Effect]) -> list[Effect]:
    """Return effects with Holm's correction of their p-values for each other, those for sanity by themselves."""
    counts = {ALL, *(each.title for each in ENVIRONMENTS.values() if each.counts)}
    p_values = dict(enumerate(each.p for each in found))
    for group in (
        [i for i, each in enumerate(found) if each.where in counts],
        [i for i, each in enumerate(found) if each.where not in counts],
    ):
        p_values |= dict(zip(group, holm([p_values[i] for i in group]), strict=True))
    return [replace(each, p=p_values[i]) for i, each in enumerate(found)]


def bold(effect: Effect) -> str:
    """Return an effect in percent, bold if its p-value is below ERROR."""
    percent = in_percent(effect.percent)
    return f"**{percent}**" if effect.p < ERROR else str(percent)


def in_percent(estimate: Estimate | None) -> str | None:
    """Return an estimate in whole percent, with signs."""
    if estimate is None:
        return None
    interval = "" if estimate.interval is None else f" [{estimate.interval.low:+.0f}, {estimate.interval.high:+.0f}]"
    return f"{estimate.value:+.0f}{interval}"
