"""The parts of the built-in architectures: a body from inputs to features, and heads to policy and value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import torch

from acexp.architectures.base import Interface
from acexp.architectures.convolutions import Convolutions
from acexp.architectures.layers import (
    BackwardToAll,
    BackwardToParameters,
    Gradients,
    HiddenLayer,
    LayerNorm,
    Linear,
    Perceptron,
    Weights,
    constant,
)
from acexp.core.arrays import Array, library, repeat
from acexp.core.configs.architectures import ArchitectureConfig
from acexp.core.errors import UserError
from acexp.core.observations import Inputs
from acexp.core.parameters import Initializer, ParameterSpec
from acexp.core.tape import Tape

GAIN_VALUE = 1.0


@dataclass(frozen=True, slots=True)
class Body:
    """The network from inputs to one vector of features: a perceptron for the vector, convolutions for each image."""

    parts: tuple[Perceptron | Convolutions, ...]

    @property
    def n_out(self) -> int:
        return sum(part.n_out for part in self.parts)

    @property
    def in_numpy(self) -> bool:
        """Whether its formulas can compute with NumPy arrays as well."""
        return all(isinstance(part, Perceptron) and part.in_numpy for part in self.parts)

    def specs(self) -> list[ParameterSpec]:
        return [spec for part in self.parts for spec in part.specs()]

    def __call__(self, weights: Weights, inputs: Inputs, tape: Tape | None = None) -> Array:
        """Return the features; store on the tape, if any, what `forward_with_backward` would have to compute again."""
        features = [part(weights, x, tape) for part, x in zip(self.parts, inputs, strict=True)]
        return features[0] if len(features) == 1 else torch.cat(features, -1)

    def forward_with_backward(
        self, weights: Weights, inputs: Inputs, tape: Tape | None = None
    ) -> tuple[Array, BackwardToParameters]:
        """Return the features and the backward pass. With a tape of T steps, `inputs` holds these steps in order."""
        results = [part.forward_with_backward(weights, x, tape) for part, x in zip(self.parts, inputs, strict=True)]
        if len(results) == 1:
            return results[0]
        sizes = [part.n_out for part in self.parts]

        def backward(gradient: Array) -> Gradients:
            grad_parts = torch.split(gradient, sizes, -1)
            pairs = zip(results, grad_parts, strict=True)
            return [grad for (_, part_backward), grad_part in pairs for grad in part_backward(grad_part)]

        return torch.cat([features for features, _ in results], -1), backward

    def describe(self) -> list[tuple[str, str]]:
        return [row for part in self.parts for row in part.describe()]


@dataclass(frozen=True, slots=True)
class PolicyHead:
    """The actor's last layer, followed by its log standard deviations: `[M, B, features]` -> `[M, B, K]`.

    Attributes:
        linear: The last layer.
        n_log_std: Number of log standard deviations that are parameters, the same in every state.
        n_log_std_outputs: Number of the last layer's outputs, its last ones, that are log standard deviations.
        log_std_init: What all of them are in the beginning, but for the small weights of the last layer.
    """

    linear: Linear
    n_log_std: int
    n_log_std_outputs: int
    log_std_init: float

    def specs(self) -> list[ParameterSpec]:
        size, start = self.n_log_std, constant(self.log_std_init)
        log_std = [ParameterSpec("log_std", (size,), start, read_as=(1, size))] if size else []
        weight, bias = self.linear.specs()
        if self.n_log_std_outputs:
            bias = replace(bias, initialize=self._initial_bias(bias.initialize))
        return [weight, bias, *log_std]

    def _initial_bias(self, initialize: Initializer) -> Initializer:
        def initialize_all(out: torch.Tensor, generator: torch.Generator) -> None:
            initialize(out, generator)
            out[-self.n_log_std_outputs :] = self.log_std_init

        return initialize_all

    def __call__(self, weights: Weights, features: Array) -> Array:
        output = self.linear(weights, features)
        if not self.n_log_std:
            return output
        return self._joined(output, next(weights))

    def forward_with_backward(self, weights: Weights, features: Array) -> tuple[Array, BackwardToAll]:
        """Return the policy's parameters and the backward pass."""
        output, linear_backward = self.linear.forward_with_backward(weights, features)
        if not self.n_log_std:
            return output, linear_backward

        def backward(gradient: Array) -> tuple[Array, Gradients]:
            n = self.linear.n_out
            grad_features, gradients = linear_backward(gradient[..., :n])
            return grad_features, [*gradients, gradient[..., n:].sum(1)]

        return self._joined(output, next(weights)), backward

    def _joined(self, output: Array, log_std: Array) -> Array:
        joined: Array = library(output).concatenate((output, repeat(log_std, output.shape[1])), -1)
        return joined

    def describe(self) -> list[tuple[str, str]]:
        log_std = [("log_std", f"Parameter({self.n_log_std})")] if self.n_log_std else []
        return self.linear.describe() + log_std


def body(config: ArchitectureConfig, interface: Interface) -> Body:
    """Build the network before the heads, sized by the interface."""
    parts: list[Perceptron | Convolutions] = []
    n_images = 0
    for shape in interface.input_shapes:
        if len(shape) == 1:
            parts.append(Perceptron(_hidden_layers(config, shape[0]), shape[0], config.activation))
        else:
            parts.append(Convolutions(f"image{n_images}", shape, config.cnn, config.init))
            n_images += 1
    return Body(tuple(parts))


def _hidden_layers(config: ArchitectureConfig, n_in: int) -> tuple[HiddenLayer, ...]:
    if config.layer_norm and 1 in config.hidden_sizes:
        raise UserError(
            "The mean over a single unit is the unit itself: normalized by its layer, it would always be 0.",
            key="arch.layer_norm",
            value=f"true, with hidden layers of {list(config.hidden_sizes)}",
            remedy="use layers of two units or more, or set layer_norm=false",
        )
    return tuple(
        HiddenLayer(
            Linear(f"hidden{i}", fan_in, fan_out, config.init),
            LayerNorm(f"hidden{i}.norm", fan_out) if config.layer_norm else None,
        )
        for i, (fan_in, fan_out) in enumerate(pairwise([n_in, *config.hidden_sizes]))
    )


def policy_head(config: ArchitectureConfig, interface: Interface, n_features: int) -> PolicyHead:
    """Build the actor's last layer."""
    linear = Linear("policy", n_features, interface.n_outputs, config.init, config.policy_gain)
    n_log_std = interface.n_parameters - interface.n_outputs
    return PolicyHead(linear, n_log_std, interface.n_log_std, config.log_std_init)


def value_head(config: ArchitectureConfig, n_features: int) -> Linear:
    """Build the critic's last layer."""
    return Linear("value", n_features, 1, config.init, GAIN_VALUE)
