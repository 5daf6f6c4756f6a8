"""Distributions of discrete actions: Discrete, MultiDiscrete and MultiBinary."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from acexp.core.arrays import Array, add_at, library, log_softmax, pick
from acexp.core.distributions.base import torch_dtype


def gumbel(slots: tuple[int, ...], size: int, generator: torch.Generator) -> Tensor:
    """Draw standard Gumbel noise, `[*slots, size]`: `argmax(logits + gumbel)` is a sample from softmax(logits)."""
    exponential = torch.empty(*slots, size, device=generator.device).exponential_(generator=generator)
    return exponential.log_().neg_()


def categorical_entropy(logits: Array) -> Array:
    """Return `-sum p log p` for p = softmax(logits): `[..., n]` -> `[...]`."""
    log_p = log_softmax(logits)
    p: Array = library(log_p).exp(log_p)
    return -(p * log_p).sum(-1)


def categorical_log_prob(logits: Array, actions: Array) -> Array:
    """Return `log softmax(logits)[action]`, computed without underflow: `[..., n]`, `[...]` -> `[...]`."""
    return pick(log_softmax(logits), actions)


def categorical_gradient(logits: Array, actions: Array, grad_log_prob: Array, grad_entropy: Array) -> Array:
    """Return the gradient of a loss with respect to the logits: `[..., n]`, `[...]` x 3 -> `[..., n]`.

    With p = softmax(logits) and entropy H, `d log p_a / d logits = onehot(a) - p` and
    `dH / d logits = -p (log p + H)`.
    """
    log_p = log_softmax(logits)
    p = library(log_p).exp(log_p)
    entropy = -(p * log_p).sum(-1)[..., None]
    gradient: Array = -p * ((log_p + entropy) * grad_entropy[..., None] + grad_log_prob[..., None])
    add_at(gradient, actions, grad_log_prob)
    return gradient


class Categorical:
    """The distribution of Discrete actions: the softmax of `n` logits."""

    in_numpy = True
    noise_shape: tuple[int, ...]
    action_shape: tuple[int, ...]
    action_dtype = torch.int64
    n_log_std = 0

    def __init__(self, space: spaces.Discrete) -> None:
        self.n_parameters = self.n_outputs = int(space.n)
        self.noise_shape, self.action_shape = (self.n_outputs,), ()
        self._start = int(space.start)

    def draw(self, slots: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return gumbel(slots, self.n_outputs, generator)

    def sample(self, parameters: Array, noise: Array) -> Array:
        return (parameters + noise).argmax(-1)

    def mode(self, parameters: Tensor) -> Tensor:
        return parameters.argmax(-1)

    def log_prob(self, parameters: Array, actions: Array) -> Array:
        return categorical_log_prob(parameters, actions)

    def entropy(self, parameters: Array) -> Array:
        return categorical_entropy(parameters)

    def gradient(self, parameters: Array, actions: Array, grad_log_prob: Array, grad_entropy: Array) -> Array:
        return categorical_gradient(parameters, actions, grad_log_prob, grad_entropy)

    def standard_deviation(self, parameters: Array) -> Array | None:
        return None

    def readable(self, parameters: Tensor) -> dict[str, Tensor]:
        return {"probabilities": parameters.softmax(-1)}

    def to_environment(self, actions: NDArray[Any]) -> NDArray[Any]:
        return actions + self._start if self._start else actions

    def translate(self, actions: Tensor) -> Tensor:
        return actions + self._start


class MultiCategorical:
    """The distribution of MultiDiscrete actions: independent categoricals, whose logits are concatenated."""

    noise_shape: tuple[int, ...]
    action_shape: tuple[int, ...]
    action_dtype = torch.int64
    n_log_std = 0

    def __init__(self, space: spaces.MultiDiscrete) -> None:
        self._sizes = [int(n) for n in space.nvec.reshape(-1)]
        self._start = np.asarray(space.start).reshape(-1)
        self._space_shape = space.shape
        self._dtype = space.dtype
        self.n_parameters = self.n_outputs = sum(self._sizes)
        self.noise_shape = (self.n_outputs,)
        self.action_shape = (len(self._sizes),)

    def draw(self, slots: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return gumbel(slots, self.n_outputs, generator)

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        return self.mode(parameters + noise)

    def mode(self, parameters: Tensor) -> Tensor:
        return torch.stack([part.argmax(-1) for part in torch.split(parameters, self._sizes, -1)], -1)

    def log_prob(self, parameters: Tensor, actions: Tensor) -> Tensor:
        parts = zip(torch.split(parameters, self._sizes, -1), actions.unbind(-1), strict=True)
        return torch.stack([categorical_log_prob(logits, action) for logits, action in parts], -1).sum(-1)

    def entropy(self, parameters: Tensor) -> Tensor:
        return torch.stack([categorical_entropy(part) for part in torch.split(parameters, self._sizes, -1)], -1).sum(-1)

    def gradient(self, parameters: Tensor, actions: Tensor, grad_log_prob: Tensor, grad_entropy: Tensor) -> Tensor:
        parts = zip(torch.split(parameters, self._sizes, -1), actions.unbind(-1), strict=True)
        return torch.cat([categorical_gradient(*part, grad_log_prob, grad_entropy) for part in parts], -1)

    def standard_deviation(self, parameters: Tensor) -> Tensor | None:
        return None

    def readable(self, parameters: Tensor) -> dict[str, Tensor]:
        return {"probabilities": torch.cat([part.softmax(-1) for part in torch.split(parameters, self._sizes, -1)], -1)}

    def to_environment(self, actions: NDArray[Any]) -> NDArray[Any]:
        return (actions + self._start).reshape(len(actions), *self._space_shape).astype(self._dtype)

    def translate(self, actions: Tensor) -> Tensor:
        return (actions + torch.tensor(self._start)).reshape(-1, *self._space_shape).to(torch_dtype(self._dtype))


class Bernoulli:
    """The distribution of MultiBinary actions: independent Bernoulli variables, one logit each."""

    noise_shape: tuple[int, ...]
    action_shape: tuple[int, ...]
    action_dtype = torch.float32
    n_log_std = 0

    def __init__(self, space: spaces.MultiBinary) -> None:
        self._space_shape = space.shape
        self._dtype = space.dtype
        self.n_parameters = self.n_outputs = math.prod(space.shape)
        self.noise_shape = self.action_shape = (self.n_outputs,)

    def draw(self, slots: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Draw standard logistic noise, which is the difference of two Gumbel variables."""
        uniform = torch.rand(*slots, self.n_outputs, generator=generator, device=generator.device)
        return torch.logit(uniform, eps=1e-7)

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        return (parameters + noise > 0).to(self.action_dtype)

    def mode(self, parameters: Tensor) -> Tensor:
        return (parameters > 0).to(self.action_dtype)

    def log_prob(self, parameters: Tensor, actions: Tensor) -> Tensor:
        """Return `a log p + (1 - a) log(1 - p)`, with p = sigmoid(logit), summed over the components."""
        return -F.binary_cross_entropy_with_logits(parameters, actions, reduction="none").sum(-1)

    def entropy(self, parameters: Tensor) -> Tensor:
        """Return `softplus(l) - l sigmoid(l)`, which is `-p log p - (1-p) log(1-p)`, summed over the logits l."""
        return (F.softplus(parameters) - parameters * torch.sigmoid(parameters)).sum(-1)

    def gradient(self, parameters: Tensor, actions: Tensor, grad_log_prob: Tensor, grad_entropy: Tensor) -> Tensor:
        """Return the gradient of a loss with respect to the logits.

        With p = sigmoid(logit), `d log prob / d logit = a - p` and `dH / d logit = -logit p (1 - p)`.
        """
        p = torch.sigmoid(parameters)
        grad_from_log_prob = (actions - p) * grad_log_prob.unsqueeze(-1)
        return grad_from_log_prob - parameters * p * (1.0 - p) * grad_entropy.unsqueeze(-1)

    def standard_deviation(self, parameters: Tensor) -> Tensor | None:
        return None

    def readable(self, parameters: Tensor) -> dict[str, Tensor]:
        return {"probabilities": parameters.sigmoid()}

    def to_environment(self, actions: NDArray[Any]) -> NDArray[Any]:
        return actions.reshape(len(actions), *self._space_shape).astype(self._dtype)

    def translate(self, actions: Tensor) -> Tensor:
        return actions.reshape(-1, *self._space_shape).to(torch_dtype(self._dtype))
