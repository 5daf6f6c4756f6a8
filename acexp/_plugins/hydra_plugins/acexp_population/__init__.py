"""Hydra plugins: sweeps that train as populations. `hydra_plugins` is the one package where Hydra looks for them."""

# No `from __future__ import annotations` here: Hydra runs this module before it is in sys.modules, where dataclasses
# look up annotations that are text.
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from acexp.config.application import HydraTask
from acexp.config.launcher import LauncherConfig, launcher_from, launcher_in
from acexp.config.places import placed
from acexp.config.sweep import SweepComposer, SweepJobs, SweepRun, without_repeats


class PopulationLauncher(Launcher):
    """Hands the jobs of a sweep to acexp, which trains them as populations."""

    def __init__(self, **settings: Any) -> None:
        self._settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Receive what `launch` needs; called by Hydra."""
        assert isinstance(task_function, HydraTask)
        self._context, self._task, self._config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Compose and train these jobs; called by Hydra's own sweepers."""
        composer = SweepComposer(self._config)
        runs = _distinct([composer.run(overrides) for overrides in job_overrides], self._task)
        _name(composer, runs, self._task, Path(self._config.hydra.sweep.dir))
        return self.train(composer, runs, initial_job_idx)

    def train(self, composer: SweepComposer, runs: Sequence[SweepRun], first_number: int) -> Sequence[JobReturn]:
        """Train runs that have been composed and named already."""
        jobs = SweepJobs(composer, runs, first_number, self._context.callbacks, self._task)
        self._task.application.train_sweep(jobs, launcher_from(self._settings))
        return jobs.returns


def _distinct(composed: Sequence[SweepRun], task: HydraTask) -> list[SweepRun]:
    """Return the runs of a sweep without those that equal an earlier one, and print how many these are."""
    runs = without_repeats(composed)
    if len(runs) < len(composed):
        task.application.note_repeats(len(composed) - len(runs))
    return runs


def _name(composer: SweepComposer, runs: Sequence[SweepRun], task: HydraTask, folder: Path) -> None:
    """Name the directories of a sweep's runs; raises UserError if its folder holds a search."""
    task.application.claim_sweep(folder, [run.config for run in runs])
    composer.name_runs(runs, task.application.begun(folder))


@dataclass
class GridSweeperConfig:
    """The settings of `hydra.sweeper.*`, which are those of Hydra's basic sweeper."""

    _target_: str = "hydra_plugins.acexp_population.GridSweeper"
    max_batch_size: int | None = None
    params: dict[str, str] = field(default_factory=dict)  # not None, below which Hydra can set no key


class GridSweeper(Sweeper):
    """Trains every combination of the values on the command line.

    It does what Hydra's basic sweeper does, but composes and checks every run once, before anything is written.
    """

    def __init__(self, max_batch_size: int | None = None, params: dict[str, str] | None = None) -> None:
        self._max_batch_size = max_batch_size  # `params` is read from the config

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Receive what `sweep` needs; called by Hydra."""
        assert isinstance(task_function, HydraTask)
        self._task, self._config = task_function, config
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Sequence[Sequence[JobReturn]]:
        """Train the sweep; called by Hydra."""
        with placed(list(self._config.hydra.overrides.hydra)):
            launcher = launcher_in(self._config)
            if launcher is not None:
                self._task.application.check_launcher(launcher)
            composer = SweepComposer(self._config)
            composed = composer.runs()
            self._task.application.check_runs(composed)
        runs = _distinct(composed, self._task)
        self._task.application.check_environments([run.config for run in runs])
        folder = Path(self._config.hydra.sweep.dir)
        _name(composer, runs, self._task, folder)
        if launcher is None or not launcher.dry_run:
            folder.mkdir(parents=True, exist_ok=True)
            OmegaConf.save(self._config, folder / "multirun.yaml")
        size = self._max_batch_size or len(runs)
        return [self._launch(composer, runs[first : first + size], first) for first in range(0, len(runs), size)]

    def _launch(self, composer: SweepComposer, runs: Sequence[SweepRun], first_number: int) -> Sequence[JobReturn]:
        if isinstance(self._launcher, PopulationLauncher):
            return self._launcher.train(composer, runs, first_number)
        returns = self._launcher.launch([list(run.overrides) for run in runs], initial_job_idx=first_number)
        for job in returns:
            _ = job.return_value  # raises the exception of a job that failed
        return returns


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
