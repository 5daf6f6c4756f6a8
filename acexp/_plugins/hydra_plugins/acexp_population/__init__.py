"""Hydra plugins: sweeps that train as populations. `hydra_plugins` is the one package where Hydra looks for them."""

# No `from __future__ import annotations` here: Hydra runs this module before it is in sys.modules, where dataclasses
# look up annotations that are text.
from collections.abc import Sequence
from dataclasses import dataclass

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from acexp.commands.preflight import Preflight
from acexp.config.sweep import SweepComposer, SweepJobs, SweepRun


@dataclass
class PopulationLauncherConfig:
    """What `hydra.launcher.*` sets.

    Attributes:
        max_members: runs that train together, at most.
        processes: that train at a time; null takes one per core.
    """

    _target_: str = "hydra_plugins.acexp_population.PopulationLauncher"
    max_members: int = 16
    processes: int | None = None


class PopulationLauncher(Launcher):
    """Hands a whole sweep to the task's `train_sweep`, where there is one for whole sweeps."""

    def __init__(self, max_members: int, processes: int | None) -> None:
        self._max_members, self._processes = max_members, processes

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra."""
        self._context, self._task, self._config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Train these jobs; called by Hydra's sweepers."""
        composer, runs = self._composed()
        wanted = [runs.get(tuple(overrides)) or composer.run(overrides) for overrides in job_overrides]
        jobs = SweepJobs(composer, wanted, initial_job_idx, self._context.callbacks, self._task)
        self._task.train_sweep(jobs, self._max_members, self._processes)  # type: ignore[attr-defined]
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


for group, node in (("hydra/launcher", PopulationLauncherConfig), ("hydra/sweeper", GridSweeperConfig)):
    ConfigStore.instance().store(
        group=group, name="population" if group.endswith("launcher") else "grid", node=node, provider="acexp"
    )
