"""Action distributions, one for each kind of action space, as pure functions of the network's output.

A policy's output is one tensor `[..., K]`, `K = n_parameters`. Sampling takes noise that was drawn beforehand, once per
rollout, so acting makes no random calls and needs no torch.distributions objects. Log-probabilities, entropies and
their gradients are written out by hand. Actions are stored as they were sampled (indices, unclipped Gaussian values)
and converted for the environment only when it is stepped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from acexp.core.distributions.base import Distribution
from acexp.core.distributions.discrete import Bernoulli, Categorical, MultiCategorical
from acexp.core.distributions.gaussian import DiagonalGaussian
from acexp.core.errors import UserError

__all__ = ["Bernoulli", "Categorical", "DiagonalGaussian", "Distribution", "MultiCategorical", "distribution_for"]

_BY_SPACE: dict[type[Any], Callable[[Any], Distribution]] = {
    spaces.Discrete: Categorical,
    spaces.MultiDiscrete: MultiCategorical,
    spaces.MultiBinary: Bernoulli,
    spaces.Box: DiagonalGaussian,
}


def distribution_for(space: gym.Space[Any]) -> Distribution:
    """Return the distribution for an action space. Raises UserError if the space is not supported."""
    is_integer_box = isinstance(space, spaces.Box) and not np.issubdtype(space.dtype, np.floating)
    if not is_integer_box:
        for kind, build in _BY_SPACE.items():
            if isinstance(space, kind):
                return build(space)
    raise UserError(
        f"Actions from {space} are not supported.",
        key="env.id",
        choices=("Discrete", "MultiDiscrete", "MultiBinary", "Box of floats"),
        remedy="wrap the environment so that its actions are one of these",
    )
