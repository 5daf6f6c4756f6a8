"""The loop of a search: ask for a batch of trials, train them as populations, compare, tell."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from acexp.config import RunConfig
from acexp.config.search import KEY, SearchConfig
from acexp.core.errors import UserError
from acexp.core.estimators import iqm
from acexp.metrics import tags
from acexp.runs import run_directory
from acexp.runs.outcome import Outcome
from acexp.runs.run_directory import Status
from acexp.sweeps.trials import Trials
from acexp.system.files import read_json

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, slots=True)
class Ran:
    """A run of a trial after a round of training: how it stands, None if it was not begun, and where it is."""

    outcome: Outcome | None
    directory: Path


Trainer = Callable[[Sequence[Mapping[str, object]], int | None], list[list[Ran]]]
"""Trains the runs of these choices up to an env step, None for their end; goes on where they stand."""


def rungs_of(config: RunConfig, search: SearchConfig) -> list[int]:
    """Env steps at which trials are compared before their end; raises UserError where there are none to prune at."""
    if search.pruner == "none":
        return []
    every = config.eval.every
    rungs = [] if every is None else list(range(every, config.total_steps, every))
    if not rungs:
        raise UserError(
            "Trials are compared when they are evaluated, and these are not before their end.",
            key=f"{KEY}.pruner",
            value=search.pruner,
            remedy=f"say eval.every={max(1, config.total_steps // 5)} or so, or do without: {KEY}.pruner=none",
        )
    return rungs


def search(trials: Trials, rungs: Sequence[int], train: Trainer, say: Callable[[str], None]) -> bool:
    """Search until there are enough trials; returns whether it came to an end, and was not told to stop."""
    while batch := trials.take():
        for rung in (*rungs, None):
            if not batch:
                break
            ran = train([trial.params for trial in batch], rung)
            if any(_is_unfinished(run.outcome, rung) for runs in ran for run in runs):
                trials.summary()
                return False
            batch = _told(trials, batch, ran, say) if rung is None else _kept(trials, batch, ran, rung, rungs[0], say)
        best = trials.summary()["best"]
        if best is not None:
            say(f"best so far: trial {best}")
    return True


def _is_unfinished(outcome: Outcome | None, rung: int | None) -> bool:
    return outcome is None or outcome.status is Status.INTERRUPTED or (rung is None and outcome.status is Status.PAUSED)


def _kept(
    trials: Trials,
    batch: Sequence[optuna.Trial],
    ran: Sequence[Sequence[Ran]],
    rung: int,
    every: int,
    say: Callable[[str], None],
) -> list[optuna.Trial]:
    """Those that are worth going on with."""
    kept = []
    for trial, runs in zip(batch, ran, strict=True):
        value = _value([_evaluated(run.directory, before=rung + every) for run in runs])
        if trials.is_behind(trial, value, rung):
            for run in runs:
                if run.outcome is not None and run.outcome.status is Status.PAUSED:
                    run_directory.end(run.directory, Status.PRUNED, {})
            trials.tell(trial, None, pruned=True)
            say(f"trial {trial.number} pruned at {rung:,} steps: {value:.1f}")
        else:
            kept.append(trial)
    return kept


def _told(
    trials: Trials, batch: Sequence[optuna.Trial], ran: Sequence[Sequence[Ran]], say: Callable[[str], None]
) -> list[optuna.Trial]:
    for trial, runs in zip(batch, ran, strict=True):
        if all(run.outcome is None or run.outcome.status is Status.FAILED for run in runs):
            trials.tell(trial, None)
            say(f"trial {trial.number} failed")
            continue
        value = _value([_final(run) for run in runs])
        trials.tell(trial, value)
        say(f"trial {trial.number}: {value:.1f}")
    return []


def _value(scores: Sequence[float]) -> float:
    """The interquartile mean over seeds; one seed's luck is not a setting's merit."""
    return float(iqm(np.array(scores)))


def _final(run: Ran) -> float:
    """The last evaluation, or the last training episodes of a run that is not evaluated; -inf for one that diverged."""
    if run.outcome is None or run.outcome.status is not Status.DONE:
        return -math.inf
    evaluated = _evaluated(run.directory)
    if math.isfinite(evaluated):
        return evaluated
    told = read_json(run.directory / run_directory.SUMMARY).get("mean_return_last_100")
    return -math.inf if told is None else float(told)


def _evaluated(directory: Path, before: float = math.inf) -> float:
    """The mean return of the last evaluation before an env step; -inf where there is none."""
    found = -math.inf
    try:
        lines = (directory / run_directory.METRICS).read_text(encoding="utf-8").splitlines()
    except OSError:
        return found
    for line in lines:
        if f'"{tags.EVALUATED_RETURN}"' in line:
            told = json.loads(line)
            found = told[tags.EVALUATED_RETURN] if told["step"] < before else found
    return found
