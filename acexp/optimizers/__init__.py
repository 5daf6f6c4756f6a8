"""Optimization algorithms, gradient clipping, and layouts, which assign parameters to optimizers."""

from acexp.core.configs.optimizers import DualConfig, LayoutConfig, OptimizerConfig, SingleConfig
from acexp.optimizers.algorithms import ALGORITHMS, Algorithm
from acexp.optimizers.layouts import OPTIMIZERS, OptimizerGroup

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
