"""The choice of the distribution that suits an action space."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from acexp.core.configs.policies import PolicyConfig
from acexp.core.distributions.base import POLICIES, Distribution
from acexp.core.distributions.discrete import Bernoulli, Categorical, MultiCategorical
from acexp.core.distributions.gaussian import DiagonalGaussian
from acexp.core.errors import UserError

_OF_INDICES: dict[type[Any], Callable[[Any], Distribution]] = {
    spaces.Discrete: Categorical,
    spaces.MultiDiscrete: MultiCategorical,
    spaces.MultiBinary: Bernoulli,
}


@POLICIES.register("auto")
def auto(space: gym.Space[Any], config: PolicyConfig) -> Distribution:
    """Choose by the actions: gaussian for numbers, and the probabilities of all choices for discrete actions."""
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
        return DiagonalGaussian(space, config)
    for kind, build in _OF_INDICES.items():
        if isinstance(space, kind):
            return build(space)
    raise UserError(
        f"Actions from {space} are not supported.",
        key="env.id",
        choices=("Discrete", "MultiDiscrete", "MultiBinary", "Box of floats"),
        remedy="wrap the environment so that its actions are one of these",
    )
