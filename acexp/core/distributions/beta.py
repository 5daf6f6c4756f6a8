"""The beta distribution of continuous actions."""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor

from acexp.core.configs.policies import PolicyConfig
from acexp.core.distributions.base import POLICIES
from acexp.core.distributions.box import BoxDistribution

N_CANDIDATES = 6
"""The number of candidates from which a sample is chosen: all of them are rejected less than once in 10^7 samples."""


@POLICIES.register("beta")
class Beta(BoxDistribution):
    """A beta distribution for each dimension, with one maximum (Chou et al., 2017); for Box actions with two bounds.

    The last layer gives two numbers for each dimension, whose softplus plus 1 are the concentrations. With a variable
    x of this distribution on [0, 1], the action in [-1, 1] is `2 x - 1`, and the stored number is `logit(x) / 2`.
    """

    is_squashed = True
    mode_in_words = "the mode"
    parameters_in_words = (
        "numbers whose softplus plus 1 are the two concentrations: all first ones, then all second ones"
    )

    def __init__(self, space: gym.Space[Any], config: PolicyConfig) -> None:
        super().__init__(space, config)
        self.n_outputs, self.n_log_std = 2 * self.size, 0
        self.noise_shape = (2, self.size, N_CANDIDATES, 2)

    def draw(self, slots: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Draw a normal and an exponential number for each candidate of each of the two gamma variables."""
        noise = torch.empty(*slots, *self.noise_shape, device=generator.device)
        noise[..., 0].normal_(generator=generator)
        noise[..., 1].exponential_(generator=generator)
        return noise

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        """Sample by two gamma variables g and h of the concentrations, `x = g / (g + h)`: `logit(x) = log g - log h`.

        Each is the first of its candidates that the method of Marsaglia and Tsang (2000) does not reject.
        """
        d = torch.stack(_concentrations(parameters), -2) - 1.0 / 3.0  # [..., 2, size]
        normal, exponential = noise.unbind(-1)
        root = 1.0 + normal / (3.0 * d.sqrt()).unsqueeze(-1)
        log_v = 3.0 * root.clamp_min(torch.finfo(root.dtype).tiny).log()
        bound = 0.5 * normal.square() + d.unsqueeze(-1) * (1.0 - log_v.exp() + log_v)
        is_taken = (root > 0.0) & (-exponential < bound)
        first = is_taken.to(torch.uint8).argmax(-1, keepdim=True)
        log_g, log_h = (d.log() + log_v.gather(-1, first).squeeze(-1)).unbind(-2)
        logit: Tensor = log_g - log_h
        return 0.5 * logit

    def mode(self, parameters: Tensor) -> Tensor:
        """Return `logit(x) / 2` of the mode `x = (a - 1) / (a + b - 2)` of concentrations a and b, in float64."""
        above_one = _softplus(parameters.double()) + torch.finfo(torch.float64).tiny
        a, b = above_one.chunk(2, -1)
        return 0.5 * (a.log() - b.log())

    def log_prob(self, parameters: Tensor, actions: Tensor) -> Tensor:
        """Return the log-density of the actions in [-1, 1], which is half of that of x, summed over the dimensions."""
        a, b = _concentrations(parameters)
        log_x, log_y = -_softplus(-2.0 * actions), -_softplus(2.0 * actions)
        return ((a - 1.0) * log_x + (b - 1.0) * log_y - _log_beta(a, b) - math.log(2.0)).sum(-1)

    def entropy(self, parameters: Tensor) -> Tensor:
        """Return the entropy, with the digamma function: that of x plus log 2, summed over the dimensions."""
        a, b = _concentrations(parameters)
        of_a, of_b, of_both = (torch.digamma(each) for each in (a, b, a + b))
        shares = (a - 1.0) * of_a + (b - 1.0) * of_b - (a + b - 2.0) * of_both
        return (_log_beta(a, b) - shares + math.log(2.0)).sum(-1)

    def gradient(self, parameters: Tensor, actions: Tensor, grad_log_prob: Tensor, grad_entropy: Tensor) -> Tensor:
        """Return the gradient of a loss with respect to the parameters.

        With respect to the concentration a, the log-density's is `log x - digamma(a) + digamma(a + b)`, and the
        entropy's `(a + b - 2) trigamma(a + b) - (a - 1) trigamma(a)`; softplus' derivative is the logistic function.
        """
        both = torch.stack(_concentrations(parameters), -2)  # [..., 2, size]
        total = both.sum(-2, keepdim=True)
        log_x = -_softplus(torch.stack((-2.0 * actions, 2.0 * actions), -2))
        of_log_prob = log_x - torch.digamma(both) + torch.digamma(total)
        trigamma, trigamma_total = torch.polygamma(1, both), torch.polygamma(1, total)
        of_entropy = (total - 2.0) * trigamma_total - (both - 1.0) * trigamma
        weighted = of_log_prob * grad_log_prob[..., None, None] + of_entropy * grad_entropy[..., None, None]
        return weighted.flatten(-2) * torch.exp(-_softplus(-parameters))

    def standard_deviation(self, parameters: Tensor) -> Tensor | None:
        return self.readable(parameters)["std"].mean(-1)

    def readable(self, parameters: Tensor) -> dict[str, Tensor]:
        a, b = _concentrations(parameters)
        total = a + b
        std = 2.0 / total * (a * b / (total + 1.0)).sqrt()
        return {"mean": (a - b) / total, "std": std, "first concentration": a, "second concentration": b}


def _concentrations(parameters: Tensor) -> tuple[Tensor, Tensor]:
    a, b = (1.0 + _softplus(parameters)).chunk(2, -1)
    return a, b


def _softplus(x: Tensor) -> Tensor:
    """Return `log(1 + exp(x))` by functions whose rounding does not depend on where in a tensor a number lies."""
    return x.clamp_min(0.0) + torch.log1p(torch.exp(-x.abs()))


def _log_beta(a: Tensor, b: Tensor) -> Tensor:
    return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)
