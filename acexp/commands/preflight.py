"""A Hydra callback that refuses what cannot work before Hydra makes a directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from hydra.types import TaskFunction
from omegaconf import DictConfig

from acexp.algorithm.assembly import check, check_environments
from acexp.config import RunConfig
from acexp.config.application import HydraTask, Refused, overrides_of
from acexp.config.load import load_checked
from acexp.config.places import placed
from acexp.config.sweep import SweepComposer
from acexp.core.errors import UserError
from acexp.runs.claims import claim
from acexp.runs.remarks import refuse_unread
from acexp.sweeps.sweep_directory import claim_sweep
from acexp.system.user_code import failed, place_in_code

OWN_SWEEPERS = ("hydra_plugins.acexp_population.", "hydra_plugins.acexp_optuna.")
"""Modules of sweepers that check their runs by themselves, before they write anything."""


class Preflight(Callback):
    """Checks runs before Hydra makes anything."""

    def __init__(self) -> None:
        self._checked: RunConfig | None = None
        self._remarks: tuple[str, ...] = ()

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse a single run that cannot be loaded or built, or whose directory holds another run."""
        overrides = overrides_of(config.hydra)
        try:
            with placed([*config.hydra.overrides.hydra, *overrides]):
                self._checked = load_checked(config, overrides)
                self._remarks = check(self._checked)
                claim(Path(config.hydra.run.dir), "hydra.run.dir" if self._checked.name is None else "name")
        except UserError as error:
            raise Refused(error) from None
        except (Exception, SystemExit) as error:
            if not isinstance(error, SystemExit) and place_in_code(error) is None:
                raise  # a mistake of acexp's, for which its traceback is needed
            raise Refused(failed("The run cannot be built", error)) from error

    def on_job_start(self, config: DictConfig, *, task_function: TaskFunction, **kwargs: Any) -> None:
        """Hand the config that has been loaded over to the task, with the remarks on its environment."""
        if self._checked is not None and isinstance(task_function, HydraTask):
            task_function.accept(self._checked, self._remarks)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse a sweep of which a run cannot be loaded, or no environment works.

        A run that only its environment refuses fails by itself. A directory with files that are not acexp's is refused
        too.
        """
        try:
            with placed([*config.hydra.overrides.hydra, *config.hydra.overrides.task]):
                claim_sweep(Path(config.hydra.sweep.dir), "hydra.sweep.dir" if config.name is None else "name")
        except UserError as error:
            raise Refused(error) from None
        if str(config.hydra.sweeper._target_).startswith(OWN_SWEEPERS):
            return
        try:
            with placed([*config.hydra.overrides.hydra, *config.hydra.overrides.task]):
                runs = SweepComposer(config).runs()
                refuse_unread([run.config for run in runs], [run.overrides for run in runs])
                check_environments(run.config for run in runs)
        except UserError as error:
            raise Refused(error) from None
