"""What the logs say of the reasons: tables of gradient norms, of the cosine on a shared trunk, and of exploration."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from choices import BOUND, BY_MODULE, CHOICES, UNCLIPPED, Choice
from effects import ALL, Effect, effects, in_percent, of_choice, pairs, preset, runs_of
from environments import ENVIRONMENTS, Environment
from plan import cell, label_of

from acexp.core.numbers import NOTHING, number
from acexp.report.inference import ERROR, Mean
from acexp.report.scores import Estimate
from acexp.report.table import Value, to_markdown

MODULES = ("actor", "critic", "trunk")
OPTIMIZERS = {"single": "one optimizer", "dual": "two optimizers"}
SEPARATE, SHARED = "arch=separate optim=dual", "arch=shared optim=dual"


def shared_bound() -> str:
    """Return a table of what a bound of 0.5 changes where actor and critic share it, and what one for each module."""
    clipping = CHOICES["clipping-and-optimizers"]
    compared = {"a bound for each optimizer": (BOUND, UNCLIPPED), "one for each module instead": (BY_MODULE, BOUND)}
    by_layout = {
        f"{title}: {what}": effects(clipping, f"optim={optim} {clip}", (clipping, f"optim={optim} {other}"))
        for optim, title in OPTIMIZERS.items()
        for what, (clip, other) in compared.items()
    }
    return _by_environment(by_layout)


def _by_environment(found: dict[str, list[Effect]]) -> str:
    """Return a table with a row for each environment and a column for each list of effects, in percent."""
    places = [*(each.title for each in ENVIRONMENTS.values()), ALL]
    rows: list[list[Value]] = []
    for place in places:
        here = [next((each.percent for each in effects_ if each.where == place), None) for effects_ in found.values()]
        if any(each is not None for each in here):
            rows.append([f"**{place}**" if place == ALL else place, *map(in_percent, here)])
    return to_markdown(("", *found), rows)


def heavy_tails() -> str:
    """Return a table of the tails of two optimizers' gradients without clipping, and of what a bound does there.

    Presets with one optimizer have no row: its gradient has no part that is the actor's alone.
    """
    clipping = CHOICES["clipping"]
    by_place = {effect.where: effect for effect in effects(clipping, BOUND, (clipping, UNCLIPPED))}
    rows: list[list[Value]] = []
    for environment, values in _measured(clipping, UNCLIPPED, "kurtosis optim_actor", "kurtosis optim_critic"):
        if not any(values):
            continue
        effect = by_place.get(environment.title)
        shares = next(iter(_of(environment, clipping, BOUND, "clipped optim_actor", "clipped optim_critic")), None)
        shown = [None if each is None else each.value for each in (shares[1] if shares else (None, None))]
        rows.append([environment.title, *values, *shown, in_percent(effect.percent) if effect else None])
    columns = ("kurtosis, actor", "kurtosis, critic", "clipped, actor", "clipped, critic", "effect of the bound")
    return to_markdown(("", *columns), rows)


def cosine() -> str:
    """Return a table of the cosine on the shared trunk, beside what separate networks do."""
    by_place = {
        effect.where: effect for effect in effects(CHOICES["networks"], SEPARATE, (CHOICES["networks"], SHARED))
    }
    rows: list[list[Value]] = []
    for environment, values in _measured(CHOICES["networks"], SHARED, "cosine", "cosine negative"):
        effect = by_place.get(environment.title)
        rows.append([environment.title, *values, in_percent(effect.percent) if effect else None])
    return to_markdown(("", "cosine", "share of logs below 0", "effect of separate networks"), rows)


def critics() -> str:
    """Return a table of the explained variance at the end of training, its median over runs, by who steps the trunk."""
    columns = {
        "separate networks": SEPARATE,
        "a trunk of both": SHARED,
        "of the actor": f"{SHARED} optim.trunk=actor",
        "of the critic": f"{SHARED} optim.trunk=critic",
    }
    rows: list[list[Value]] = []
    for environment in ENVIRONMENTS.values():
        cells = [cell(environment, CHOICES["networks"], level) for level in columns.values()]
        runs = [runs_of(each) for each in cells]
        values = [None if each is None else float(each["explained last"].median()) for each in runs]
        if any(value is not None for value in values):
            rows.append([environment.title, *values])
    return to_markdown(("", *columns), rows)


def exploration() -> str:
    """Return a table of what separate networks change in entropy and in the volume of observations."""
    networks = CHOICES["networks"]
    measures = ("entropy middle", "entropy last", "volume")
    rows: list[list[Value]] = [
        [one.environment.title, *(_difference(runs_of(one), runs_of(other), measure) for measure in measures)]
        for one, other in pairs(networks, SEPARATE, (networks, SHARED))
    ]
    return to_markdown(("", "entropy at half time", "entropy at the end", "log of the observations' spread"), rows)


def large_effects() -> str:
    """Return a table of what the logs say of each level with a certain effect, beside the preset: medians over runs."""
    rows: list[list[Value]] = []
    for environment in (each for each in ENVIRONMENTS.values() if each.counts):
        if (runs := preset(environment)) is None:
            continue
        rows.append([f"**{environment.title}**", "preset", None, *_inside(runs)])
        by_cell: dict[str, list[Value]] = {}  # some choices share a cell
        for choice in CHOICES.values():
            for effect in of_choice(choice) if not choice.preset else ():
                if effect.where == environment.title and effect.p < ERROR:
                    changed = cell(environment, choice, effect.level)
                    runs = runs_of(changed)
                    assert runs is not None, changed
                    shown = label_of(choice, effect.level), in_percent(effect.percent)
                    by_cell.setdefault(changed.first, [environment.title, *shown, *_inside(runs)])
        rows += by_cell.values()
    norms = (f"norm, {module}" for module in MODULES)
    return to_markdown(
        ("", "level", "effect", "training return", "entropy", "explained", *norms, "clipped", "cosine"), rows
    )


def _inside(runs: pd.DataFrame) -> list[Value]:
    """Return what the logs say of runs, for `large_effects`: norms are before and after clipping where these differ."""
    known = {str(name): float(value) for name, value in runs.median(numeric_only=True).items()}
    shown = {name: number(value) for name, value in known.items() if not math.isnan(value)}

    def found(*names: str) -> list[str]:
        return [shown[name] for name in names if name in shown]

    norms = [dict.fromkeys(found(f"norm {module}", f"norm {module} after")) for module in MODULES]
    clipped = found(*(f"clipped optim_{losses}" for losses in ("actor", "critic", "joint")))
    return [
        *(shown.get(name) for name in ("training", "entropy middle", "explained last")),
        *(" to ".join(each) or NOTHING for each in norms),
        ", ".join(clipped) or NOTHING,
        shown.get("cosine"),
    ]


def _difference(one: pd.DataFrame | None, other: pd.DataFrame | None, measure: str) -> Estimate | None:
    if one is None or other is None or measure not in one or measure not in other:
        return None
    a, b = one[measure].dropna(), other[measure].dropna()
    return Estimate.of_mean(Mean.of_difference(a, b, paired=False)) if len(a) and len(b) else None


def _measured(choice: Choice, level: str, *measures: str) -> Iterator[tuple[Environment, list[Estimate | None]]]:
    for environment in ENVIRONMENTS.values():
        yield from _of(environment, choice, level, *measures)


def _of(
    environment: Environment, choice: Choice, level: str, *measures: str
) -> Iterator[tuple[Environment, list[Estimate | None]]]:
    """Yield the mean of measures over the seeds of a cell, if it has been run."""
    runs = runs_of(cell(environment, choice, level)) if choice.concerns(environment) else None
    if runs is not None:
        known = [runs[name].dropna() if name in runs else np.zeros(0) for name in measures]
        yield environment, [Estimate.of_mean(Mean.of(values)) if len(values) else None for values in known]
