"""The Gaussian distribution of continuous actions, as it is and squashed by tanh."""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from acexp.core.arrays import Array, add_product, library
from acexp.core.configs.policies import PolicyConfig
from acexp.core.distributions.base import POLICIES
from acexp.core.distributions.box import BoxDistribution, halves, log_derivative_of_tanh

LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)
N_NODES = 32
"""The number of points of the quadrature that estimates entropies."""


@POLICIES.register("gaussian")
class DiagonalGaussian(BoxDistribution):
    """A Gaussian for each dimension, whose samples are clipped to the bounds; for Box actions."""

    mode_in_words = "the mean"
    parameters_in_words = "means, before that, then log standard deviations"
    in_numpy = True

    def draw(self, slots: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return torch.randn(*slots, self.size, generator=generator, device=generator.device)

    def sample(self, parameters: Array, noise: Array) -> Array:
        mean, log_std = halves(parameters)
        return add_product(mean, library(log_std).exp(log_std), noise)

    def log_prob(self, parameters: Array, actions: Array) -> Array:
        """Return `-((a - mean) / std)^2 / 2 - log std - log sqrt(2 pi)`, summed over the dimensions."""
        mean, log_std = halves(parameters)
        z: Array = (actions - mean) * library(log_std).exp(-log_std)
        return -(0.5 * z * z + log_std).sum(-1) - self.size * LOG_SQRT_2PI

    def entropy(self, parameters: Array) -> Array:
        """Return `log std + log sqrt(2 pi) + 1/2`, summed over the dimensions."""
        return halves(parameters)[1].sum(-1) + self.size * (LOG_SQRT_2PI + 0.5)

    def gradient(self, parameters: Array, actions: Array, grad_log_prob: Array, grad_entropy: Array) -> Array:
        """Return the gradient of a loss with respect to the mean and log std.

        With `z = (a - mean) / std`, the log-probability's gradient is `z / std` with respect to the mean and `z^2 - 1`
        with respect to log std; the entropy's is 0 and 1.
        """
        xp = library(parameters)
        mean, log_std = halves(parameters)
        precision = xp.exp(-log_std)
        z = (actions - mean) * precision
        grad_log_prob = grad_log_prob[..., None]
        grad_log_std = (z * z - 1.0) * grad_log_prob + grad_entropy[..., None]
        gradient: Array = xp.concatenate((z * precision * grad_log_prob, grad_log_std), -1)
        return gradient

    def standard_deviation(self, parameters: Array) -> Array | None:
        log_std = halves(parameters)[1]
        deviation: Array = library(log_std).exp(log_std).mean(-1)
        return deviation

    def readable(self, parameters: Tensor) -> dict[str, Tensor]:
        mean, log_std = parameters.chunk(2, -1)
        return {"mean": mean, "std": log_std.exp()}


@POLICIES.register("squashed")
class SquashedGaussian(DiagonalGaussian):
    """The tanh of a Gaussian for each dimension, as in SAC (Haarnoja et al., 2018); for Box actions with two bounds.

    Stored actions are those of the Gaussian, so that its sampling, mode and gradient apply. The tanh of its mean is the
    median of the squashed action. The entropy has no closed form; a Gauss-Hermite quadrature estimates it.
    """

    is_squashed = True
    mode_in_words = "the tanh of the mean (the distribution's median)"
    parameters_in_words = "means before the tanh, then log standard deviations before the tanh"

    def __init__(self, space: gym.Space[Any], config: PolicyConfig) -> None:
        super().__init__(space, config)
        nodes, weights = np.polynomial.hermite_e.hermegauss(N_NODES)
        self._nodes, self._weights = nodes.tolist(), (weights / weights.sum()).tolist()

    def log_prob(self, parameters: Tensor, actions: Tensor) -> Tensor:
        """Return the log-density of the tanh of `actions`: that of the Gaussian minus `log(1 - tanh(a)^2)`, summed."""
        return super().log_prob(parameters, actions) - log_derivative_of_tanh(actions).sum(-1)

    def entropy(self, parameters: Tensor) -> Tensor:
        """Return an estimate of the entropy: that of the Gaussian plus the mean of `log(1 - tanh(a)^2)`, summed.

        The mean is a quadrature, whose error is below 0.002 nats for each dimension up to a standard deviation of 2.
        """
        points, weights, _ = self._quadrature(parameters)
        return super().entropy(parameters) + (log_derivative_of_tanh(points) * weights).sum((-1, -2))

    def gradient(self, parameters: Tensor, actions: Tensor, grad_log_prob: Tensor, grad_entropy: Tensor) -> Tensor:
        """Return the gradient of a loss with respect to the mean and log std.

        The correction of the density does not depend on them. With the points `x = mean + std z` of the quadrature,
        the entropy's gradient is the mean of `-2 tanh(x)`, and 1 plus the mean of `-2 tanh(x) std z`.
        """
        points, weights, deviations = self._quadrature(parameters)
        slope = points.tanh().mul_(weights).mul_(-2.0)
        correction = torch.cat((slope.sum(-1), (slope * deviations).sum(-1)), -1)
        gaussian = super().gradient(parameters, actions, grad_log_prob, grad_entropy)
        return gaussian + correction * grad_entropy.unsqueeze(-1)

    def readable(self, parameters: Tensor) -> dict[str, Tensor]:
        mean, log_std = parameters.chunk(2, -1)
        entropy = self.entropy(parameters).unsqueeze(-1)
        return {"median": mean.tanh(), "std before tanh": log_std.exp(), "entropy (estimate)": entropy}

    def _quadrature(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the points of the quadrature, `[..., size, n]`, its weights, and the points minus the mean."""
        mean, log_std = parameters.chunk(2, -1)
        deviations = log_std.exp().unsqueeze(-1) * parameters.new_tensor(self._nodes)
        return mean.unsqueeze(-1) + deviations, parameters.new_tensor(self._weights), deviations
