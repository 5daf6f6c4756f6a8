"""What a distribution of actions is."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor


class Distribution(Protocol):
    """What a policy's output means. `...` stands for any leading axes.

    Attributes:
        n_parameters: K, how many outputs the actor's last layer and its extra parameters amount to.
        n_outputs: how many of them come from the last layer; the rest are state-independent log standard deviations.
        noise_shape: what `draw` draws for one slot.
        action_shape: what `sample` gives for one slot; its dtype is `action_dtype`.
    """

    n_parameters: int
    n_outputs: int
    noise_shape: tuple[int, ...]
    action_shape: tuple[int, ...]
    action_dtype: torch.dtype

    def draw(self, slots: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Noise for `slots`, float32 `[*slots, *noise_shape]`."""

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        """An action from the policy: `[..., K]`, `[..., *noise_shape]` -> `[..., *action_shape]`."""

    def mode(self, parameters: Tensor) -> Tensor:
        """The most likely action: `[..., K]` -> `[..., *action_shape]`."""

    def log_prob(self, parameters: Tensor, actions: Tensor) -> Tensor:
        """Log-probability (or density) of the actions: `[..., K]`, `[..., *action_shape]` -> `[...]`."""

    def entropy(self, parameters: Tensor) -> Tensor:
        """Entropy in nats: `[..., K]` -> `[...]`."""

    def gradient(self, parameters: Tensor, actions: Tensor, grad_log_prob: Tensor, grad_entropy: Tensor) -> Tensor:
        """A loss's gradient by the parameters, `[..., K]`, from that by log_prob and that by entropy, `[...]` each."""

    def standard_deviation(self, parameters: Tensor) -> Tensor | None:
        """Mean standard deviation over the action's dimensions, `[...]`; None where there is no such thing."""

    def readable(self, parameters: Tensor) -> dict[str, Tensor]:
        """The policy as people think of it, probabilities or mean and std: `[..., K]` -> `[..., n]` each."""

    def to_environment(self, actions: NDArray[Any]) -> NDArray[Any]:
        """What the environment's `step` takes: `[E, *action_shape]` -> `[E, *space.shape]` in the space's dtype."""

    def translate(self, actions: Tensor) -> Tensor:
        """`to_environment` in torch, to the last bit; slower, but it can be traced."""


def torch_dtype(dtype: DTypeLike) -> torch.dtype:
    """What torch calls a NumPy dtype."""
    return torch.from_numpy(np.empty(0, dtype)).dtype
