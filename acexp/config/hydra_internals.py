"""The only imports from `hydra._internal`.

Hydra's public interface cannot compose the runs of a sweep without reading every file again for each of them, cannot
start from a list of arguments, composes every config twice, and has no sweeper to inherit from. These names have been
stable throughout Hydra 1.3, and pyproject.toml allows no later version.
"""

from __future__ import annotations

from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.object_type import ObjectType

__all__ = [
    "BasicSweeper",
    "Callbacks",
    "ConfigLoader",
    "ConfigLoaderImpl",
    "Hydra",
    "create_config_search_path",
    "get_args_parser",
    "get_overrides_dirname",
]


class ConfigLoader(ConfigLoaderImpl):
    """Hydra's loader of configs, which lists groups without a copy of all configs for each: its help asks 100 times."""

    def get_group_options(
        self,
        group_name: str,
        results_filter: ObjectType | None = ObjectType.CONFIG,
        config_name: str | None = None,
        overrides: list[str] | None = None,
    ) -> list[str]:
        if overrides:
            return super().get_group_options(group_name, results_filter, config_name, overrides)
        return self.repository.get_group_options(group_name, results_filter)
