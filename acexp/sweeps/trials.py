"""An Optuna study that several workers share; no trial is lost when a worker is killed."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import platform
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acexp.config.search import KEY, Choice, SearchConfig, Space
from acexp.core.errors import UserError
from acexp.sweeps import sweep_directory
from acexp.system.lock import is_locked, locked, waiting_lock
from acexp.system.packages import require_package

if TYPE_CHECKING:
    import optuna

DATABASE = "study.db"
WORKER = "worker"
STARTUP_TRIALS = 10
"""Number of trials that TPE draws at random before it learns from them."""


def require_optuna() -> None:
    """Raise UserError unless Optuna is installed."""
    require_package("optuna", "optuna", "A search needs", key="hydra/sweeper", value="optuna")


class Trials:
    """The trials of a study, as one worker handles them; a context manager.

    Args:
        config: The settings of the search.
        space: The space that is searched.
        folder: The sweep's folder, which all workers can access.
        rungs: The env steps at which trials are compared before their end.
    """

    def __init__(self, config: SearchConfig, space: Space, folder: Path, rungs: Sequence[int]) -> None:
        require_optuna()
        import optuna

        optuna.logging.set_verbosity(logging.ERROR)
        self._optuna: Any = optuna
        self._config, self._space, self._folder = config, space, folder
        self._worker = f"{platform.node()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        (folder / sweep_directory.SEARCH_FOLDER / self._worker).mkdir(parents=True)
        with self._exclusive():
            self._study = self._load(rungs)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Trials:
        self._stack.enter_context(locked(self._worker_folder(self._worker)))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def take(self) -> list[optuna.Trial]:
        """Return the next batch: trials whose worker is gone, then new ones; empty when there are enough."""
        with self._exclusive():
            states = self._optuna.trial.TrialState
            known = self._study.get_trials(deepcopy=False)
            taken = [
                self._optuna.Trial(self._study, trial._trial_id)
                for trial in known
                if trial.state == states.RUNNING
                and not is_locked(self._worker_folder(trial.user_attrs.get(WORKER, "")))
            ][: self._config.batch]
            n_counted = sum(trial.state != states.FAIL for trial in known)
            n_new = min(self._config.batch - len(taken), self._config.n_trials - n_counted)
            self._study.sampler = self._sampler(len(known))
            taken += [self._study.ask() for _ in range(max(0, n_new))]
            for trial in taken:
                trial.set_user_attr(WORKER, self._worker)
                self._choose(trial)
            return taken

    def is_behind(self, trial: optuna.Trial, value: float, step: int) -> bool:
        """Record a trial's value at a step, and return True if the trial should be given up."""
        trial.report(value, step)
        return bool(trial.should_prune())

    def record(self, trial: optuna.Trial, value: float | None, *, pruned: bool = False) -> None:
        """Record how a trial ended: its value, or None if it has none."""
        states = self._optuna.trial.TrialState
        if pruned:
            self._study.tell(trial, state=states.PRUNED)
        elif value is None or math.isnan(value):
            self._study.tell(trial, state=states.FAIL)
        else:
            self._study.tell(trial, value)

    def summary(self) -> dict[str, Any]:
        """Return what is known of the trials as plain values, and write it beside the runs for the report."""
        states = self._optuna.trial.TrialState
        with self._exclusive():
            trials = self._study.get_trials(deepcopy=False)
            done = [trial for trial in trials if trial.state == states.COMPLETE]
            finite = [trial for trial in done if trial.value is not None and math.isfinite(trial.value)]
            content = {
                "study": self._study.study_name,
                "sampler": self._config.sampler,
                "pruner": self._config.pruner,
                "best": max(finite, key=lambda t: t.value or 0.0).number if finite else None,
                "importances": self._importances(len(finite)),
                "trials": [
                    {
                        "number": trial.number,
                        "state": trial.state.name.lower(),
                        "params": dict(trial.params),
                        "value": trial.value if trial.value is None or math.isfinite(trial.value) else str(trial.value),
                        "rungs": {str(step): value for step, value in trial.intermediate_values.items()},
                    }
                    for trial in trials
                ],
            }
            with contextlib.suppress(OSError):
                sweep_directory.write_search(self._folder, content)
            return content

    def _load(self, rungs: Sequence[int]) -> optuna.Study:
        config, name = self._config, self._config.study or self._folder.name
        storage = config.storage or f"sqlite:///{self._folder / DATABASE}"
        try:
            study: optuna.Study = self._optuna.create_study(
                storage=storage,
                study_name=name,
                direction="maximize",
                load_if_exists=True,
                pruner=self._pruner(rungs),
            )
            return study
        except Exception as error:  # each database driver raises its own exceptions
            raise UserError(
                f"The study's storage cannot be used: {str(error).splitlines()[0]}",
                key=f"{KEY}.storage",
                value=storage,
                remedy="give the URL of a database that can be written: sqlite:///study.db, postgresql://...",
            ) from error

    def _sampler(self, n_known: int) -> optuna.samplers.BaseSampler:
        """Return a new sampler for each batch, so that workers with the same seed do not draw the same trials."""
        samplers, seed = self._optuna.samplers, self._config.sampler_seed
        drawn = None if seed is None else seed + n_known
        sampler: optuna.samplers.BaseSampler
        if self._config.sampler == "random":
            sampler = samplers.RandomSampler(seed=drawn)
            return sampler
        # `constant_liar` keeps the trials of a batch apart, although none of their values is known yet.
        sampler = samplers.TPESampler(seed=drawn, constant_liar=True, n_startup_trials=STARTUP_TRIALS)
        return sampler

    def _pruner(self, rungs: Sequence[int]) -> optuna.pruners.BasePruner:
        pruners = self._optuna.pruners
        pruner: optuna.pruners.BasePruner = pruners.NopPruner()
        if self._config.pruner == "median" and rungs:
            pruner = pruners.MedianPruner(n_startup_trials=min(STARTUP_TRIALS, self._config.batch), n_warmup_steps=0)
        elif self._config.pruner == "hyperband" and rungs:
            pruner = pruners.HyperbandPruner(min_resource=rungs[0], max_resource=rungs[-1], reduction_factor=3)
        return pruner

    def _choose(self, trial: optuna.Trial) -> None:
        """Choose a value for every dimension; values that a killed worker had chosen stay."""
        for key, dimension in self._space.dimensions.items():
            if isinstance(dimension, Choice):
                trial.suggest_categorical(key, dimension.values)
            elif dimension.step is not None:
                low, high = int(dimension.low), int(dimension.high)
                trial.suggest_int(key, low, high, log=dimension.is_log, step=dimension.step)
            else:
                trial.suggest_float(key, dimension.low, dimension.high, log=dimension.is_log)

    def _importances(self, n_finite: int) -> dict[str, float]:
        """Return how much of the values' spread each key explains (PED-ANOVA); empty if there are too few trials."""
        if n_finite < STARTUP_TRIALS:
            return {}
        importance = self._optuna.importance
        try:
            return dict(
                importance.get_param_importances(self._study, evaluator=importance.PedAnovaImportanceEvaluator())
            )
        except (ValueError, RuntimeError):
            return {}  # all values are equal

    def _worker_folder(self, worker: str) -> Path:
        return self._folder / sweep_directory.SEARCH_FOLDER / worker

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Hold the lock that keeps other workers from counting trials at the same time."""
        with waiting_lock(self._folder / sweep_directory.SEARCH_FOLDER / "lock"):
            yield
