"""Action distributions, chosen by the config group `policy`, as pure functions of the network's output.

A policy's output is one tensor `[..., K]`, `K = n_parameters`. Sampling takes noise that was drawn beforehand, once per
rollout, so acting makes no random calls and needs no torch.distributions objects. Log-probabilities, entropies and
their gradients are written out by hand. Actions are stored as they were sampled (indices, unclipped Gaussian values)
and converted for the environment only when it is stepped.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from acexp.core.configs.policies import PolicyConfig
from acexp.core.distributions.auto import auto
from acexp.core.distributions.base import POLICIES, Distribution
from acexp.core.distributions.beta import Beta
from acexp.core.distributions.box import BoxDistribution
from acexp.core.distributions.discrete import Bernoulli, Categorical, MultiCategorical
from acexp.core.distributions.gaussian import DiagonalGaussian, SquashedGaussian

__all__ = [
    "POLICIES",
    "Bernoulli",
    "Beta",
    "BoxDistribution",
    "Categorical",
    "DiagonalGaussian",
    "Distribution",
    "MultiCategorical",
    "PolicyConfig",
    "SquashedGaussian",
    "auto",
    "distribution_for",
]


def distribution_for(space: gym.Space[Any], config: PolicyConfig | None = None) -> Distribution:
    """Return the distribution for an action space that a config chooses; None for `auto`.

    Raises UserError if it is not a distribution of such actions.
    """
    config = config or PolicyConfig()
    return POLICIES[config.name].build(space, config)
