"""A Hydra callback that refuses what cannot work before Hydra makes a directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from acexp.algorithm.assembly import check
from acexp.config.launcher import launcher_in
from acexp.config.load import load_checked
from acexp.config.places import place_of
from acexp.config.search import search_from
from acexp.config.sweep import SweepComposer, SweepRun
from acexp.core.errors import UserError
from acexp.runs.run_directory import claim
from acexp.sweeps.executors import require
from acexp.sweeps.search import rungs_of
from acexp.sweeps.trials import require_optuna

SEARCH = "hydra_plugins.acexp_optuna."


class Refused(SystemExit):
    """Passes through Hydra, which turns ordinary exceptions in callbacks into warnings."""

    def __init__(self, error: UserError) -> None:
        super().__init__(2)
        self.error = error


class Preflight(Callback):
    """Hydra calls this before anything is made.

    Attributes:
        sweep: what a multirun was composed with, for the launcher; None before that.
        runs: of the sweep, in their order.
    """

    def __init__(self) -> None:
        self.sweep: SweepComposer | None = None
        self.runs: list[SweepRun] = []

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """A single run must load, everything it names must build, and its directory must be free."""
        overrides = list(config.hydra.overrides.task)
        try:
            check(load_checked(config, overrides))
            claim(Path(config.hydra.run.dir))
        except UserError as error:
            raise Refused(error.at(place_of(error.key, overrides))) from None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Every run of a sweep must load; what only its environment cannot take fails that run alone, later."""
        try:
            launcher = launcher_in(config)
            if launcher is not None:
                require(launcher)
            if str(config.hydra.sweeper._target_).startswith(SEARCH):
                require_optuna()
                search = search_from(config, Callbacks(), lambda node: None)
                rungs_of(search.check(), search.config)
                return
            self.sweep = SweepComposer(config)
            self.runs = self.sweep.runs()
        except UserError as error:
            raise Refused(error.at(place_of(error.key, list(config.hydra.overrides.hydra)))) from None
