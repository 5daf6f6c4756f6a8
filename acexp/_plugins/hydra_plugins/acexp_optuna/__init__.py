"""A Hydra plugin: a sweeper that searches with Optuna. Hydra imports it at every start, so Optuna is imported later."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from acexp.config.application import HydraTask
from acexp.config.places import placed
from acexp.config.search import SearchConfig, search_from


class OptunaSweeper(Sweeper):
    """Hands a search to acexp, which trains its trials as populations."""

    def __init__(self, **settings: Any) -> None:
        pass

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Receive what `sweep` needs; called by Hydra."""
        assert isinstance(task_function, HydraTask)
        self._context, self._task, self._config = hydra_context, task_function, config

    def sweep(self, arguments: list[str]) -> Sequence[JobReturn]:
        """Search; called by Hydra."""
        application = self._task.application

        def begun() -> Mapping[str, str]:
            return application.begun(Path(self._config.hydra.sweep.dir))

        with placed(list(self._config.hydra.overrides.hydra)):
            application.search(search_from(self._config, begun, self._context.callbacks, self._task))
        return []


ConfigStore.instance().store(
    group="hydra/sweeper",
    name="optuna",
    node=OmegaConf.create({"_target_": f"{__name__}.{OptunaSweeper.__name__}", **asdict(SearchConfig())}),
    provider="acexp",
)
