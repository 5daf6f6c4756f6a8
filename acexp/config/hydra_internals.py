"""The only imports from `hydra._internal`.

Hydra's public interface cannot compose the runs of a sweep without reading every file again for each of them, cannot
start from a list of arguments, and has no sweeper to inherit from. These names have been stable throughout Hydra 1.3,
and pyproject.toml allows no later version.
"""

from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path

__all__ = [
    "BasicSweeper",
    "Callbacks",
    "ConfigLoaderImpl",
    "Hydra",
    "create_config_search_path",
    "get_overrides_dirname",
]
