"""A Hydra plugin: a sweeper that searches with Optuna. Hydra imports it at every start, so Optuna is left for later."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from acexp.config.search import SearchConfig, search_from


class OptunaSweeper(Sweeper):
    """Hands a search to the task's `search`."""

    def __init__(self, **settings: Any) -> None:
        pass

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra."""
        self._context, self._task, self._config = hydra_context, task_function, config

    def sweep(self, arguments: list[str]) -> Sequence[JobReturn]:
        """Search; called by Hydra."""
        self._task.search(search_from(self._config, self._context.callbacks, self._task))  # type: ignore[attr-defined]
        return []


ConfigStore.instance().store(
    group="hydra/sweeper",
    name="optuna",
    node=OmegaConf.create({"_target_": f"{__name__}.{OptunaSweeper.__name__}", **asdict(SearchConfig())}),
    provider="acexp",
)
