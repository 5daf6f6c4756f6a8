"""Hydra plugins: sweeps that train as populations. `hydra_plugins` is the one package where Hydra looks for them."""

# No `from __future__ import annotations` here: Hydra runs this module before it is in sys.modules, where dataclasses
# look up annotations that are text.
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from acexp.commands.preflight import Preflight
from acexp.config.launcher import LauncherConfig, launcher_from
from acexp.config.sweep import SweepComposer, SweepJobs, SweepRun


class PopulationLauncher(Launcher):
    """Hands a whole sweep to the task's `train_sweep`, where there is one for whole sweeps."""

    def __init__(self, **settings: Any) -> None:
        self._settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra."""
        self._context, self._task, self._config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Train these jobs; called by Hydra's sweepers."""
        composer, runs = self._composed()
        wanted = [runs.get(tuple(overrides)) or composer.run(overrides) for overrides in job_overrides]
        jobs = SweepJobs(composer, wanted, initial_job_idx, self._context.callbacks, self._task)
        self._task.train_sweep(jobs, launcher_from(self._settings))  # type: ignore[attr-defined]
        return jobs.returns

    def _composed(self) -> tuple[SweepComposer, dict[tuple[str, ...], SweepRun]]:
        """What the preflight has composed and checked already."""
        for callback in self._context.callbacks.callbacks:
            if isinstance(callback, Preflight) and callback.sweep is not None:
                return callback.sweep, {run.overrides: run for run in callback.runs}
        return SweepComposer(self._config), {}


@dataclass
class GridSweeperConfig:
    """What `hydra.sweeper.*` sets, as for Hydra's basic sweeper."""

    _target_: str = "hydra_plugins.acexp_population.GridSweeper"
    max_batch_size: int | None = None
    params: dict[str, str] | None = None


class GridSweeper(BasicSweeper):
    """Hydra's basic sweeper, without composing every run once more: acexp has checked them all by then."""

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Nothing is left to do."""


_LAUNCHER = {
    "_target_": f"{__name__}.{PopulationLauncher.__name__}",
    "_convert_": "all",
    **asdict(LauncherConfig()),
}
for group, name, node in (
    ("hydra/launcher", "population", OmegaConf.create(_LAUNCHER)),
    ("hydra/sweeper", "grid", GridSweeperConfig),
):
    ConfigStore.instance().store(group=group, name=name, node=node, provider="acexp")
