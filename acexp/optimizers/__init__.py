"""Layer 1: which optimizer steps which parameters, and how."""

from acexp.optimizers.algorithms import ALGORITHMS, Algorithm
from acexp.optimizers.base import OptimizerConfig
from acexp.optimizers.layouts import OPTIMIZERS, DualConfig, LayoutConfig, OptimizerGroup, SingleConfig

__all__ = [
    "ALGORITHMS",
    "OPTIMIZERS",
    "Algorithm",
    "DualConfig",
    "LayoutConfig",
    "OptimizerConfig",
    "OptimizerGroup",
    "SingleConfig",
]
