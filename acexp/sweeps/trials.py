"""A study of Optuna's that several workers share, none of whose trials is lost with a worker."""

from __future__ import annotations

import contextlib
import fcntl
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
from acexp.runs import run_directory
from acexp.system.files import write_json
from acexp.system.lock import held, is_held
from acexp.system.packages import require_package

if TYPE_CHECKING:
    import optuna

DATABASE = "study.db"
WORKER = "worker"
STARTUP_TRIALS = 10
"""That TPE draws at random before it learns from them."""


def require_optuna() -> None:
    """Raise UserError unless Optuna is installed."""
    require_package("optuna", "optuna", "A search needs", key="hydra/sweeper", value="optuna")


class Trials:
    """The trials of a study, as one worker sees them. A context manager: it works from entering to leaving.

    Args:
        config: of the search.
        space: what is searched.
        folder: the sweep's, which all workers see.
        rungs: env steps at which trials are compared.
    """

    def __init__(self, config: SearchConfig, space: Space, folder: Path, rungs: Sequence[int]) -> None:
        require_optuna()
        import optuna

        optuna.logging.set_verbosity(logging.ERROR)
        self._optuna: Any = optuna
        self._config, self._space, self._folder = config, space, folder
        self._worker = f"{platform.node()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        (folder / run_directory.SEARCH_FOLDER / self._worker).mkdir(parents=True)
        with self._alone():
            self._study = self._load(rungs)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Trials:
        self._stack.enter_context(held(self._home(self._worker)))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def take(self) -> list[optuna.Trial]:
        """The next batch: those of workers that are gone, then new ones; none when there are enough."""
        with self._alone():
            states = self._optuna.trial.TrialState
            known = self._study.get_trials(deepcopy=False)
            taken = [
                self._optuna.Trial(self._study, trial._trial_id)
                for trial in known
                if trial.state == states.RUNNING and not is_held(self._home(trial.user_attrs.get(WORKER, "")))
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
        """Whether a trial that has come so far should be given up; notes how far it has come."""
        trial.report(value, step)
        return bool(trial.should_prune())

    def tell(self, trial: optuna.Trial, value: float | None, *, pruned: bool = False) -> None:
        """How a trial ended: its value; None where it has none."""
        states = self._optuna.trial.TrialState
        if pruned:
            self._study.tell(trial, state=states.PRUNED)
        elif value is None or math.isnan(value):
            self._study.tell(trial, state=states.FAIL)
        else:
            self._study.tell(trial, value)

    def summary(self) -> dict[str, Any]:
        """All that is known of the trials, as plain values; kept beside the runs for the report."""
        states = self._optuna.trial.TrialState
        with self._alone():
            trials = self._study.get_trials(deepcopy=False)
            done = [trial for trial in trials if trial.state == states.COMPLETE]
            finite = [trial for trial in done if trial.value is not None and math.isfinite(trial.value)]
            told = {
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
                write_json(self._folder / run_directory.SEARCH, told)
            return told

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
        except Exception as error:  # whatever a database's driver raises
            raise UserError(
                f"The study's storage cannot be used: {str(error).splitlines()[0]}",
                key=f"{KEY}.storage",
                value=storage,
                remedy="give the URL of a database that can be written: sqlite:///study.db, postgresql://...",
            ) from error

    def _sampler(self, n_known: int) -> optuna.samplers.BaseSampler:
        """Anew for each batch, so that workers with the same seed do not draw the same trials."""
        samplers, seed = self._optuna.samplers, self._config.sampler_seed
        drawn = None if seed is None else seed + n_known
        sampler: optuna.samplers.BaseSampler
        if self._config.sampler == "random":
            sampler = samplers.RandomSampler(seed=drawn)
            return sampler
        # `constant_liar`: those of a batch keep away from each other, though none of them is known yet.
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
        """A value for every dimension; those that a worker had chosen before it was killed stay."""
        for key, dimension in self._space.dimensions.items():
            if isinstance(dimension, Choice):
                trial.suggest_categorical(key, dimension.values)
            elif dimension.step is not None:
                low, high = int(dimension.low), int(dimension.high)
                trial.suggest_int(key, low, high, log=dimension.is_log, step=dimension.step)
            else:
                trial.suggest_float(key, dimension.low, dimension.high, log=dimension.is_log)

    def _importances(self, n_finite: int) -> dict[str, float]:
        """How much of the values' spread each key explains (PED-ANOVA); empty where there are too few trials."""
        if n_finite < STARTUP_TRIALS:
            return {}
        importance = self._optuna.importance
        try:
            return dict(
                importance.get_param_importances(self._study, evaluator=importance.PedAnovaImportanceEvaluator())
            )
        except (ValueError, RuntimeError):
            return {}  # all values alike

    def _home(self, worker: str) -> Path:
        return self._folder / run_directory.SEARCH_FOLDER / worker

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other workers from counting trials at the same time."""
        with (self._folder / run_directory.SEARCH_FOLDER / "lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
