"""A Hydra callback that refuses what cannot work before Hydra makes a directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from acexp.assembly import check
from acexp.config.load import load_checked
from acexp.config.places import place_of
from acexp.config.sweep import SweepComposer, SweepRun
from acexp.core.errors import UserError
from acexp.run_directory import claim


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
            self.sweep = SweepComposer(config)
            self.runs = self.sweep.runs()
        except UserError as error:
            raise Refused(error) from None
