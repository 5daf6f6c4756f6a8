"""Optimization algorithms, gradient clipping, and layouts, which assign parameters to optimizers."""

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
