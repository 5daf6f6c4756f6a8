"""The settings that every algorithm has, and the registry of the group."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from acexp.core.configs.objectives import A2CConfig
from acexp.core.distributions import Distribution
from acexp.core.losses import Objective
from acexp.core.registry import Registry

Builder = Callable[[Sequence[A2CConfig], Distribution, torch.device], Objective]
OBJECTIVES: Registry[Builder] = Registry("algo", A2CConfig)
"""Builders take one config per member. These differ at most in the settings that are declared `per_member`."""
