"""The networks of a whole population, from observations to policy parameters and values."""

from acexp.architectures.base import (
    ARCHITECTURES,
    Architecture,
    Backward,
    Interface,
)
from acexp.architectures.module import ModuleArchitecture, register_module
from acexp.architectures.separate import Separate
from acexp.architectures.shared import Shared
from acexp.core.configs.architectures import ArchitectureConfig, ConvolutionConfig, SideConfig

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "ArchitectureConfig",
    "Backward",
    "ConvolutionConfig",
    "Interface",
    "ModuleArchitecture",
    "Separate",
    "Shared",
    "SideConfig",
    "register_module",
]
