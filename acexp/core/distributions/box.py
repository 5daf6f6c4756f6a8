"""The distributions of Box actions: what all of them share, which is how numbers become actions within the bounds."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from acexp.core.arrays import Array
from acexp.core.configs.policies import PolicyConfig
from acexp.core.distributions.base import torch_dtype
from acexp.core.errors import UserError
from acexp.core.observations import is_infinite


class BoxDistribution(ABC):
    """The base of distributions of Box actions, with two parameters for each dimension: a location and a log scale.

    A class that inherits from it defines `draw`, `sample`, `log_prob` and `entropy` (see Distribution). The mode is the
    location, and the gradient is autograd's, unless the class defines `mode` or, by hand and therefore faster,
    `gradient`.

    An action is stored and scored as it was sampled. For a dimension with two bounds, neither of which counts as
    infinite (see `is_infinite`), the environment receives `low + (clip(a, -1, 1) + 1) / 2 * (high - low)`; for the
    others, the sample itself, clipped at a single bound.

    A distribution on [-1, 1] sets `is_squashed`, and then all dimensions need two bounds. Its actions are stored as the
    numbers of which they are the tanh: these keep their digits where actions come so close to a bound that float32
    cannot tell them apart, so that log-densities are finite. Densities and entropies are those of the actions.

    Attributes:
        size: Number of dimensions of an action.
        is_squashed: Whether the environment receives the tanh of stored actions.
        mode_in_words, parameters_in_words: What `mode` returns, and what the parameters are, for model cards.
    """

    noise_shape: tuple[int, ...]
    action_shape: tuple[int, ...]
    action_dtype = torch.float32
    is_squashed: ClassVar[bool] = False
    mode_in_words = "the most likely action"
    parameters_in_words = "the parameters of the distribution"

    def __init__(self, space: gym.Space[Any], config: PolicyConfig) -> None:
        if not isinstance(space, spaces.Box) or not np.issubdtype(space.dtype, np.floating):
            raise UserError(
                f"policy={config.name} is a distribution of numbers, and these actions are from {space}.",
                key="policy.name",
                value=config.name,
                remedy="use policy=auto, which chooses by the actions, or an environment whose actions are a Box of "
                "floats",
            )
        self.size = size = math.prod(space.shape)
        self._space_shape = space.shape
        self._dtype = space.dtype
        low, high = (np.asarray(bound, np.float64).reshape(-1) for bound in (space.low, space.high))
        self._low, self._high = low, high
        self._bounded = ~(is_infinite(low) | is_infinite(high))
        if self.is_squashed and not self._bounded.all():
            raise UserError(
                f"policy={config.name} needs actions with two finite bounds, and these are from {space}.",
                key="policy.name",
                value=config.name,
                remedy="use policy=gaussian, or bound the actions with a wrapper of your own in env.wrappers",
            )
        self._half_range = np.where(self._bounded, high - np.where(self._bounded, low, 0.0), 0.0) / 2.0
        self._already_unit = bool(np.all(self._bounded & (low == -1.0) & (high == 1.0)))
        self.n_log_std = size if config.std == "network" else 0
        self.n_outputs = size + self.n_log_std
        self.n_parameters = 2 * size
        self.noise_shape = self.action_shape = (size,)

    @abstractmethod
    def draw(self, slots: tuple[int, ...], generator: torch.Generator) -> Tensor: ...

    @abstractmethod
    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor: ...

    def mode(self, parameters: Tensor) -> Tensor:
        return parameters.chunk(2, -1)[0]

    @abstractmethod
    def log_prob(self, parameters: Tensor, actions: Tensor) -> Tensor: ...

    @abstractmethod
    def entropy(self, parameters: Tensor) -> Tensor: ...

    def gradient(self, parameters: Tensor, actions: Tensor, grad_log_prob: Tensor, grad_entropy: Tensor) -> Tensor:
        """Return the gradient of a loss with respect to the parameters, by autograd."""
        with torch.inference_mode(False), torch.enable_grad():
            leaf = parameters.clone().requires_grad_()
            computed = (self.log_prob(leaf, actions.clone()), self.entropy(leaf))
            pairs = zip(computed, (grad_log_prob, grad_entropy), strict=True)
            followed = [(x, gradient.clone()) for x, gradient in pairs if x.requires_grad]
            (found,) = torch.autograd.grad(
                [x for x, _ in followed], leaf, [gradient for _, gradient in followed], materialize_grads=True
            )
        return found

    def standard_deviation(self, parameters: Tensor) -> Tensor | None:
        return None

    def readable(self, parameters: Tensor) -> dict[str, Tensor]:
        location, log_scale = parameters.chunk(2, -1)
        return {"location": location, "scale": log_scale.exp()}

    def to_environment(self, actions: NDArray[Any]) -> NDArray[Any]:
        if self.is_squashed:
            # By torch, because NumPy's tanh rounds otherwise; in float64, because programs that run ONNX do as well.
            actions = torch.from_numpy(actions).double().tanh().numpy()
        if self._already_unit:
            # np.clip gives the same result, but takes five times as long.
            scaled = np.minimum(np.maximum(actions, -1.0), 1.0)
        else:
            unit = np.clip(actions, -1.0, 1.0)
            inside = np.where(self._bounded, self._low, 0.0) + (unit + 1.0) * self._half_range
            # Also what is scaled is clipped, since low + (high - low) can be rounded to more than high.
            scaled = np.clip(np.where(self._bounded, inside, actions), self._low, self._high)
        shaped: NDArray[Any] = scaled.reshape(len(actions), *self._space_shape).astype(self._dtype, copy=False)
        return shaped

    def translate(self, actions: Tensor) -> Tensor:
        if self.is_squashed:
            actions = actions.double().tanh()
        unit = scaled = actions.clamp(-1.0, 1.0)
        if not self._already_unit:
            low, high, half_range = map(torch.tensor, (self._low, self._high, self._half_range))  # float64, as NumPy
            bounded = torch.tensor(self._bounded)
            inside = torch.where(bounded, low, 0.0) + (unit + 1.0) * half_range
            scaled = torch.where(bounded, inside, actions.to(torch.float64)).clamp(low, high)
        return scaled.reshape(-1, *self._space_shape).to(torch_dtype(self._dtype))


def halves(parameters: Array) -> tuple[Array, Array]:
    """Split the parameters into the locations and the log scales: `[..., 2 n]` -> `[..., n]` twice."""
    n = parameters.shape[-1] // 2
    return parameters[..., :n], parameters[..., n:]


def log_derivative_of_tanh(x: Tensor) -> Tensor:
    """Return `log(1 - tanh(x)^2)`, without the loss of digits that this formula has for large x."""
    return 2.0 * (math.log(2.0) - x.abs() - torch.log1p(torch.exp(-2.0 * x.abs())))
