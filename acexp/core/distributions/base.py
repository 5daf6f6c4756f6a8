"""The interface of an action distribution, its config and its registry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from acexp.core.configs.policies import PolicyConfig
from acexp.core.registry import Registry


class Distribution(Protocol):
    """The interface of an action distribution, which interprets a policy's output. `...` is any leading axes.

    Attributes:
        n_parameters: K, the number of a policy's outputs: those of the actor's last layer and its extra parameters.
        n_outputs: Number of those from the last layer; the rest are state-independent log standard deviations.
        n_log_std: Number of those from the last layer, its last ones, that are log standard deviations.
        noise_shape: Shape of the noise that `draw` returns for one slot.
        action_shape: Shape of the action that `sample` returns for one slot.
        action_dtype: Dtype of that action.
    """

    n_parameters: int
    n_outputs: int
    n_log_std: int
    noise_shape: tuple[int, ...]
    action_shape: tuple[int, ...]
    action_dtype: torch.dtype

    def draw(self, slots: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Draw the noise for `slots`, float32 `[*slots, *noise_shape]`."""

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        """Sample actions with the given noise: `[..., K]`, `[..., *noise_shape]` -> `[..., *action_shape]`."""

    def mode(self, parameters: Tensor) -> Tensor:
        """Return the most likely actions, or the medians: `[..., K]` -> `[..., *action_shape]`."""

    def log_prob(self, parameters: Tensor, actions: Tensor) -> Tensor:
        """Return the log-probability (or log-density) of actions: `[..., K]`, `[..., *action_shape]` -> `[...]`."""

    def entropy(self, parameters: Tensor) -> Tensor:
        """Return the entropy in nats, or an estimate of it: `[..., K]` -> `[...]`."""

    def gradient(self, parameters: Tensor, actions: Tensor, grad_log_prob: Tensor, grad_entropy: Tensor) -> Tensor:
        """Return the gradient of a loss with respect to `parameters`, `[..., K]`.

        `grad_log_prob` and `grad_entropy`, `[...]` each, are the gradients with respect to `log_prob` and `entropy`.
        """

    def standard_deviation(self, parameters: Tensor) -> Tensor | None:
        """Return the mean standard deviation over the action's dimensions, `[...]`; None for discrete actions."""

    def readable(self, parameters: Tensor) -> dict[str, Tensor]:
        """Return the distribution's probabilities, or mean and std, by name: `[..., K]` -> `[..., n]` each."""

    def to_environment(self, actions: NDArray[Any]) -> NDArray[Any]:
        """Convert actions to the arrays that the environment's `step` takes.

        `[E, *action_shape]` -> `[E, *space.shape]` in the space's dtype.
        """

    def translate(self, actions: Tensor) -> Tensor:
        """Return the same as `to_environment`, bit for bit, computed in torch: slower, but it can be exported."""


Builder = Callable[[gym.Space[Any], PolicyConfig], Distribution]
POLICIES: Registry[Builder] = Registry("policy", PolicyConfig)
"""Builders take the action space; they raise UserError if theirs is not a distribution of such actions."""


def torch_dtype(dtype: DTypeLike) -> torch.dtype:
    """Return the torch dtype that corresponds to a NumPy dtype."""
    return torch.from_numpy(np.empty(0, dtype)).dtype
