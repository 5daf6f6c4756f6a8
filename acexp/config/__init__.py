"""Layer 4: from Hydra's YAML to typed, checked, immutable configs. Below this layer nobody knows Hydra."""

from acexp.config.groups import GROUPS, Choice, choices
from acexp.config.load import load
from acexp.config.render import differences, from_yaml, group, settings, to_yaml
from acexp.config.schema import (
    A2CConfig,
    CheckpointConfig,
    LogConfig,
    RunConfig,
    essence,
    identity,
    require_equal_structure,
)

__all__ = [
    "GROUPS",
    "A2CConfig",
    "CheckpointConfig",
    "Choice",
    "LogConfig",
    "RunConfig",
    "choices",
    "differences",
    "essence",
    "from_yaml",
    "group",
    "identity",
    "load",
    "require_equal_structure",
    "settings",
    "to_yaml",
]
