"""From Hydra's YAML to typed, checked, immutable configs. The packages below and beside this one do not use Hydra."""

from acexp.config.groups import GROUPS, Choice, choices
from acexp.config.load import load
from acexp.config.run_identity import essence, identity
from acexp.config.saved import differences, from_yaml, group, parse_settings, settings, to_yaml
from acexp.config.schema import (
    CheckpointConfig,
    LogConfig,
    RunConfig,
    require_equal_structure,
    structure,
)
from acexp.core.configs.objectives import A2CConfig

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
    "parse_settings",
    "require_equal_structure",
    "settings",
    "structure",
    "to_yaml",
]
