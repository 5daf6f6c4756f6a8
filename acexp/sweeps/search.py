"""The loop of a search: get a batch of trials, train them as populations, compare them, record their values."""

from __future__ import annotations

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
from acexp.metrics import read_last, tags
from acexp.runs import run_directory
from acexp.runs.outcome import Outcome
from acexp.runs.run_directory import Status
from acexp.sweeps.trials import Trials

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, slots=True)
class TrialRun:
    """A run of a trial after a round of training: its outcome, None if it was not begun, and its directory."""

    outcome: Outcome | None
    directory: Path


Trainer = Callable[[Sequence[Mapping[str, object]], int | None], list[list[TrialRun]]]
"""Trains the runs of these trials' parameters up to an env step, None for their end, from where they stand."""


def rungs_of(config: RunConfig, search: SearchConfig) -> list[int]:
    """Return the env steps at which trials are compared before their end; raises UserError if pruning has none."""
    if search.pruner == "none":
        return []
    every = config.eval.every
    rungs = [] if every is None else list(range(every, config.total_steps, every))
    if not rungs:
        raise UserError(
            "A pruner compares trials when they are evaluated, and these are not evaluated before their end.",
            key=f"{KEY}.pruner",
            value=search.pruner,
            remedy=f"set eval.every={max(1, config.total_steps // 5)} or so, or {KEY}.pruner=none",
        )
    return rungs


class SearchLoop:
    """Searches until there are enough trials.

    Args:
        trials: The trials of the study.
        rungs: The env steps at which trials are compared before their end.
        train: Trains the runs of trials.
        log: Prints a line.
    """

    def __init__(self, trials: Trials, rungs: Sequence[int], train: Trainer, log: Callable[[str], None]) -> None:
        self._trials, self._rungs, self._train, self._log = trials, rungs, train, log

    def run(self) -> bool:
        """Search; returns False if training was stopped, or a whole batch failed, before there were enough trials."""
        while batch := self._trials.take():
            for rung in self._rungs:
                pairs = self._trained(batch, rung)
                if pairs is None:
                    return False
                batch = self._pruned(pairs, rung)
            pairs = self._trained(batch, None)
            if pairs is None:
                return False
            if pairs and not self._record(pairs):
                self._trials.summary()
                self._log("every trial of the last batch failed, so the search ends")
                return False
            best = self._trials.summary()["best"]
            if best is not None:
                self._log(f"best so far: trial {best}")
        return True

    def _trained(
        self, batch: Sequence[optuna.Trial], rung: int | None
    ) -> list[tuple[optuna.Trial, list[TrialRun]]] | None:
        """Train the runs of a batch up to a rung, None for their end; return None if training was stopped."""
        if not batch:
            return []
        trained = self._train([trial.params for trial in batch], rung)
        if any(_is_unfinished(run.outcome, rung) for runs in trained for run in runs):
            self._trials.summary()
            return None
        return list(zip(batch, trained, strict=True))

    def _pruned(self, pairs: Sequence[tuple[optuna.Trial, Sequence[TrialRun]]], rung: int) -> list[optuna.Trial]:
        """Return the trials that are worth continuing, and give up the others."""
        kept = []
        for trial, runs in pairs:
            value = _value([_evaluated(run.directory, before=rung + self._rungs[0]) for run in runs])
            if self._trials.is_behind(trial, value, rung):
                for run in runs:
                    if run.outcome is not None and run.outcome.status is Status.PAUSED:
                        run_directory.end(run.directory, Status.PRUNED, {})
                self._trials.record(trial, None, pruned=True)
                self._log(f"trial {trial.number} pruned at {rung:,} steps: {value:.1f}")
            else:
                kept.append(trial)
        return kept

    def _record(self, pairs: Sequence[tuple[optuna.Trial, Sequence[TrialRun]]]) -> int:
        """Record the values of trials that have been trained to their end; return how many did not fail."""
        n_failed = 0
        for trial, runs in pairs:
            if all(run.outcome is None or run.outcome.status is Status.FAILED for run in runs):
                self._trials.record(trial, None)
                self._log(f"trial {trial.number} failed")
                n_failed += 1
                continue
            value = _value([_final(run) for run in runs])
            self._trials.record(trial, value)
            self._log(f"trial {trial.number}: {value:.1f}")
        return len(pairs) - n_failed


def _is_unfinished(outcome: Outcome | None, rung: int | None) -> bool:
    return outcome is None or outcome.status is Status.INTERRUPTED or (rung is None and outcome.status is Status.PAUSED)


def _value(scores: Sequence[float]) -> float:
    """Return the interquartile mean over seeds: one lucky seed does not make a setting good."""
    return float(iqm(np.array(scores)))


def _final(run: TrialRun) -> float:
    """Return the last evaluation, or without evaluations the last training return; -inf for a run that diverged."""
    if run.outcome is None or run.outcome.status is not Status.DONE:
        return -math.inf
    evaluated = _evaluated(run.directory)
    if math.isfinite(evaluated):
        return evaluated
    mean_return = run_directory.read_summary(run.directory).get("mean_return_last_100")
    return -math.inf if mean_return is None else float(mean_return)


def _evaluated(directory: Path, before: float = math.inf) -> float:
    """Return the mean return of the last evaluation before an env step; -inf if there is none."""
    value = read_last(directory / run_directory.METRICS, tags.EVALUATED_RETURN, before)
    return -math.inf if value is None else value
