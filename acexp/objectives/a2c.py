"""Advantage actor-critic (Mnih et al., 2016), whose losses are those of `core/losses.py`."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from acexp.core.configs.objectives import A2CConfig
from acexp.core.distributions import Distribution
from acexp.core.losses import Objective
from acexp.objectives.base import OBJECTIVES


@OBJECTIVES.register("a2c")
def a2c(configs: Sequence[A2CConfig], distribution: Distribution, device: torch.device) -> Objective:
    """A2C: one step with the policy gradient of each rollout."""
    return Objective.of(configs, distribution, device)
