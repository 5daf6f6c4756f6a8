"""Action distributions by action space, as pure functions of the network's output.

A policy's output is one tensor `[..., K]`, `K = n_parameters`. Sampling takes noise that was drawn beforehand, once per
rollout, so acting needs no distribution objects and no random calls; scoring is written out by hand. Actions are kept
as they were sampled (indices, unclipped Gaussian values) and translated for the environment last.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
import torch
import torch.nn.functional as F
from gymnasium import spaces
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from acexp.core.errors import UserError

LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)


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

    def gradient(self, parameters: Tensor, actions: Tensor, by_log_prob: Tensor, by_entropy: Tensor) -> Tensor:
        """A loss's gradient by the parameters, `[..., K]`, from that by log_prob and that by entropy, `[...]` each."""

    def standard_deviation(self, parameters: Tensor) -> Tensor | None:
        """Mean standard deviation over the action's dimensions, `[...]`; None where there is no such thing."""

    def readable(self, parameters: Tensor) -> dict[str, Tensor]:
        """The policy as people think of it, probabilities or mean and std: `[..., K]` -> `[..., n]` each."""

    def to_environment(self, actions: NDArray[Any]) -> NDArray[Any]:
        """What the environment's `step` takes: `[E, *action_shape]` -> `[E, *space.shape]` in the space's dtype."""

    def translate(self, actions: Tensor) -> Tensor:
        """`to_environment` in torch, to the last bit; slower, but it can be traced."""


def gumbel(slots: tuple[int, ...], size: int, generator: torch.Generator) -> Tensor:
    """Standard Gumbel noise, `[*slots, size]`: `argmax(logits + gumbel)` is a draw from the softmax."""
    exponential = torch.empty(*slots, size, device=generator.device).exponential_(generator=generator)
    return exponential.log_().neg_()


def categorical_entropy(logits: Tensor) -> Tensor:
    """`-sum p log p` of softmax(logits): `[..., n]` -> `[...]`."""
    log_p = F.log_softmax(logits, dim=-1)
    return -(log_p.exp() * log_p).sum(-1)


def categorical_log_prob(logits: Tensor, actions: Tensor) -> Tensor:
    """`log softmax(logits)[action]`, never the log of a softmax, which underflows: `[..., n]`, `[...]` -> `[...]`."""
    return F.log_softmax(logits, dim=-1).gather(-1, actions.unsqueeze(-1)).squeeze(-1)


def categorical_gradient(logits: Tensor, actions: Tensor, by_log_prob: Tensor, by_entropy: Tensor) -> Tensor:
    """With p = softmax(logits) and entropy H, `[..., n]`, `[...]` x 3 -> `[..., n]`.

    `d log p_a / d logits = onehot(a) - p` and `dH / d logits = -p (log p + H)`.
    """
    log_p = F.log_softmax(logits, dim=-1)
    p = log_p.exp()
    entropy = -(p * log_p).sum(-1, keepdim=True)
    by_log_prob, by_entropy = by_log_prob.unsqueeze(-1), by_entropy.unsqueeze(-1)
    gradient = p.mul_((log_p + entropy).mul_(by_entropy).add_(by_log_prob)).neg_()
    return gradient.scatter_add_(-1, actions.unsqueeze(-1), by_log_prob)


def torch_dtype(dtype: DTypeLike) -> torch.dtype:
    """What torch calls a NumPy dtype."""
    return torch.from_numpy(np.empty(0, dtype)).dtype


class Categorical:
    """Discrete actions: the softmax of `n` logits."""

    noise_shape: tuple[int, ...]
    action_shape: tuple[int, ...]
    action_dtype = torch.int64

    def __init__(self, space: spaces.Discrete) -> None:
        self.n_parameters = self.n_outputs = int(space.n)
        self.noise_shape, self.action_shape = (self.n_outputs,), ()
        self._start = int(space.start)

    def draw(self, slots: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return gumbel(slots, self.n_outputs, generator)

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        return (parameters + noise).argmax(-1)

    def mode(self, parameters: Tensor) -> Tensor:
        return parameters.argmax(-1)

    def log_prob(self, parameters: Tensor, actions: Tensor) -> Tensor:
        return categorical_log_prob(parameters, actions)

    def entropy(self, parameters: Tensor) -> Tensor:
        return categorical_entropy(parameters)

    def gradient(self, parameters: Tensor, actions: Tensor, by_log_prob: Tensor, by_entropy: Tensor) -> Tensor:
        return categorical_gradient(parameters, actions, by_log_prob, by_entropy)

    def standard_deviation(self, parameters: Tensor) -> Tensor | None:
        return None

    def readable(self, parameters: Tensor) -> dict[str, Tensor]:
        return {"probabilities": parameters.softmax(-1)}

    def to_environment(self, actions: NDArray[Any]) -> NDArray[Any]:
        return actions + self._start if self._start else actions

    def translate(self, actions: Tensor) -> Tensor:
        return actions + self._start


class MultiCategorical:
    """MultiDiscrete actions: a product of independent categoricals, whose logits stand side by side."""

    noise_shape: tuple[int, ...]
    action_shape: tuple[int, ...]
    action_dtype = torch.int64

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

    def gradient(self, parameters: Tensor, actions: Tensor, by_log_prob: Tensor, by_entropy: Tensor) -> Tensor:
        parts = zip(torch.split(parameters, self._sizes, -1), actions.unbind(-1), strict=True)
        return torch.cat([categorical_gradient(*part, by_log_prob, by_entropy) for part in parts], -1)

    def standard_deviation(self, parameters: Tensor) -> Tensor | None:
        return None

    def readable(self, parameters: Tensor) -> dict[str, Tensor]:
        return {"probabilities": torch.cat([part.softmax(-1) for part in torch.split(parameters, self._sizes, -1)], -1)}

    def to_environment(self, actions: NDArray[Any]) -> NDArray[Any]:
        return (actions + self._start).reshape(len(actions), *self._space_shape).astype(self._dtype)

    def translate(self, actions: Tensor) -> Tensor:
        return (actions + torch.tensor(self._start)).reshape(-1, *self._space_shape).to(torch_dtype(self._dtype))


class Bernoulli:
    """MultiBinary actions: a product of independent coins, one logit each."""

    noise_shape: tuple[int, ...]
    action_shape: tuple[int, ...]
    action_dtype = torch.float32

    def __init__(self, space: spaces.MultiBinary) -> None:
        self._space_shape = space.shape
        self._dtype = space.dtype
        self.n_parameters = self.n_outputs = math.prod(space.shape)
        self.noise_shape = self.action_shape = (self.n_outputs,)

    def draw(self, slots: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Standard logistic noise, the difference of two Gumbels."""
        uniform = torch.rand(*slots, self.n_outputs, generator=generator, device=generator.device)
        return torch.logit(uniform, eps=1e-7)

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        return (parameters + noise > 0).to(self.action_dtype)

    def mode(self, parameters: Tensor) -> Tensor:
        return (parameters > 0).to(self.action_dtype)

    def log_prob(self, parameters: Tensor, actions: Tensor) -> Tensor:
        """`a log p + (1 - a) log(1 - p)`, with p = sigmoid(logit), summed over the coins."""
        return -F.binary_cross_entropy_with_logits(parameters, actions, reduction="none").sum(-1)

    def entropy(self, parameters: Tensor) -> Tensor:
        """`softplus(l) - l sigmoid(l)` for each coin, which is `-p log p - (1-p) log(1-p)`."""
        return (F.softplus(parameters) - parameters * torch.sigmoid(parameters)).sum(-1)

    def gradient(self, parameters: Tensor, actions: Tensor, by_log_prob: Tensor, by_entropy: Tensor) -> Tensor:
        """With p = sigmoid(logit): `d log prob / d logit = a - p`, `dH / d logit = -logit p (1 - p)`."""
        p = torch.sigmoid(parameters)
        by_logit = (actions - p) * by_log_prob.unsqueeze(-1)
        return by_logit - parameters * p * (1.0 - p) * by_entropy.unsqueeze(-1)

    def standard_deviation(self, parameters: Tensor) -> Tensor | None:
        return None

    def readable(self, parameters: Tensor) -> dict[str, Tensor]:
        return {"probabilities": parameters.sigmoid()}

    def to_environment(self, actions: NDArray[Any]) -> NDArray[Any]:
        return actions.reshape(len(actions), *self._space_shape).astype(self._dtype)

    def translate(self, actions: Tensor) -> Tensor:
        return actions.reshape(-1, *self._space_shape).to(torch_dtype(self._dtype))


class DiagonalGaussian:
    """Box actions: a mean and a log standard deviation for each dimension.

    The unclipped sample is stored and scored. A dimension with two finite bounds gets
    `low + (clip(a, -1, 1) + 1) / 2 * (high - low)`; the others get the sample as it is, kept within a single bound.
    """

    noise_shape: tuple[int, ...]
    action_shape: tuple[int, ...]
    action_dtype = torch.float32

    def __init__(self, space: spaces.Box) -> None:
        size = math.prod(space.shape)
        self._space_shape = space.shape
        self._dtype = space.dtype
        low, high = (np.asarray(bound, np.float64).reshape(-1) for bound in (space.low, space.high))
        self._low, self._high = low, high
        self._bounded = np.isfinite(low) & np.isfinite(high)
        self._half_range = np.where(self._bounded, high - np.where(self._bounded, low, 0.0), 0.0) / 2.0
        self._already_unit = bool(np.all(self._bounded & (low == -1.0) & (high == 1.0)))
        self.n_outputs = size
        self.n_parameters = 2 * size
        self.noise_shape = self.action_shape = (size,)

    def draw(self, slots: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return torch.randn(*slots, self.n_outputs, generator=generator, device=generator.device)

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        mean, log_std = parameters.chunk(2, -1)
        return torch.addcmul(mean, log_std.exp(), noise)

    def mode(self, parameters: Tensor) -> Tensor:
        return parameters.chunk(2, -1)[0]

    def log_prob(self, parameters: Tensor, actions: Tensor) -> Tensor:
        """`-((a - mean) / std)^2 / 2 - log std - log sqrt(2 pi)`, summed over the dimensions."""
        mean, log_std = parameters.chunk(2, -1)
        standardized = (actions - mean) * torch.exp(-log_std)
        return -(0.5 * standardized.square() + log_std).sum(-1) - self.n_outputs * LOG_SQRT_2PI

    def entropy(self, parameters: Tensor) -> Tensor:
        """`log std + log sqrt(2 pi) + 1/2`, summed over the dimensions."""
        return parameters.chunk(2, -1)[1].sum(-1) + self.n_outputs * (LOG_SQRT_2PI + 0.5)

    def gradient(self, parameters: Tensor, actions: Tensor, by_log_prob: Tensor, by_entropy: Tensor) -> Tensor:
        """With `z = (a - mean) / std`: log prob gives `z / std` by the mean and `z^2 - 1` by log std; the entropy 1."""
        mean, log_std = parameters.chunk(2, -1)
        precision = torch.exp(-log_std)
        z = (actions - mean).mul_(precision)
        by_log_prob = by_log_prob.unsqueeze(-1)
        by_log_std = z.square().sub_(1.0).mul_(by_log_prob).add_(by_entropy.unsqueeze(-1))
        return torch.cat((z.mul_(precision).mul_(by_log_prob), by_log_std), -1)

    def standard_deviation(self, parameters: Tensor) -> Tensor | None:
        return parameters.chunk(2, -1)[1].exp().mean(-1)

    def readable(self, parameters: Tensor) -> dict[str, Tensor]:
        mean, log_std = parameters.chunk(2, -1)
        return {"mean": mean, "std": log_std.exp()}

    def to_environment(self, actions: NDArray[Any]) -> NDArray[Any]:
        if self._already_unit:
            # np.clip would do, in five times the time.
            scaled = np.minimum(np.maximum(actions, -1.0), 1.0)
        else:
            unit = np.clip(actions, -1.0, 1.0)
            inside = np.where(self._bounded, self._low, 0.0) + (unit + 1.0) * self._half_range
            scaled = np.where(self._bounded, inside, np.clip(actions, self._low, self._high))
        shaped: NDArray[Any] = scaled.reshape(len(actions), *self._space_shape).astype(self._dtype, copy=False)
        return shaped

    def translate(self, actions: Tensor) -> Tensor:
        unit = scaled = actions.clamp(-1.0, 1.0)
        if not self._already_unit:
            low, high, half_range = map(torch.tensor, (self._low, self._high, self._half_range))  # float64, as in NumPy
            bounded = torch.tensor(self._bounded)
            inside = torch.where(bounded, low, 0.0) + (unit + 1.0) * half_range
            scaled = torch.where(bounded, inside, actions.to(torch.float64).clamp(low, high))
        return scaled.reshape(-1, *self._space_shape).to(torch_dtype(self._dtype))


_BY_SPACE: dict[type[Any], Callable[[Any], Distribution]] = {
    spaces.Discrete: Categorical,
    spaces.MultiDiscrete: MultiCategorical,
    spaces.MultiBinary: Bernoulli,
    spaces.Box: DiagonalGaussian,
}


def distribution_for(space: gym.Space[Any]) -> Distribution:
    """The distribution that suits an action space; raises UserError for one that has none."""
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
