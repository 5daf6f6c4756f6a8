"""The parts of the built-in architectures: a body from inputs to features, and heads to policy and value."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from acexp.architectures.base import ArchitectureConfig, Interface
from acexp.architectures.convolutions import Convolutions
from acexp.architectures.layers import (
    BackwardToAll,
    BackwardToParameters,
    Gradients,
    Linear,
    Perceptron,
    Weights,
    constant,
)
from acexp.core.observations import Inputs
from acexp.core.parameters import ParameterSpec
from acexp.core.tape import Tape

GAIN_POLICY = 0.01
GAIN_VALUE = 1.0


@dataclass(frozen=True, slots=True)
class Body:
    """The network from inputs to one vector of features: a perceptron for the vector, convolutions for each image."""

    parts: tuple[Perceptron | Convolutions, ...]

    @property
    def n_out(self) -> int:
        return sum(part.n_out for part in self.parts)

    def specs(self) -> list[ParameterSpec]:
        return [spec for part in self.parts for spec in part.specs()]

    def __call__(self, weights: Weights, inputs: Inputs, tape: Tape | None = None) -> Tensor:
        """Return the features; store on the tape, if any, what `forward_with_backward` would have to compute again."""
        features = [part(weights, x, tape) for part, x in zip(self.parts, inputs, strict=True)]
        return features[0] if len(features) == 1 else torch.cat(features, -1)

    def forward_with_backward(
        self, weights: Weights, inputs: Inputs, tape: Tape | None = None
    ) -> tuple[Tensor, BackwardToParameters]:
        """Return the features and the backward pass. With a tape of T steps, `inputs` holds these steps in order."""
        results = [part.forward_with_backward(weights, x, tape) for part, x in zip(self.parts, inputs, strict=True)]
        if len(results) == 1:
            return results[0]
        sizes = [part.n_out for part in self.parts]

        def backward(gradient: Tensor) -> Gradients:
            grad_parts = torch.split(gradient, sizes, -1)
            pairs = zip(results, grad_parts, strict=True)
            return [grad for (_, part_backward), grad_part in pairs for grad in part_backward(grad_part)]

        return torch.cat([features for features, _ in results], -1), backward

    def describe(self) -> list[tuple[str, str]]:
        return [row for part in self.parts for row in part.describe()]


@dataclass(frozen=True, slots=True)
class PolicyHead:
    """The actor's last layer, followed by its log standard deviations: `[M, B, features]` -> `[M, B, K]`."""

    linear: Linear
    n_log_std: int
    log_std_init: float

    def specs(self) -> list[ParameterSpec]:
        size, start = self.n_log_std, constant(self.log_std_init)
        log_std = [ParameterSpec("log_std", (size,), start, read_as=(1, size))] if size else []
        return self.linear.specs() + log_std

    def __call__(self, weights: Weights, features: Tensor) -> Tensor:
        output = self.linear(weights, features)
        if not self.n_log_std:
            return output
        return torch.cat((output, next(weights).expand(-1, output.shape[1], -1)), -1)

    def forward_with_backward(self, weights: Weights, features: Tensor) -> tuple[Tensor, BackwardToAll]:
        """Return the policy's parameters and the backward pass."""
        output, linear_backward = self.linear.forward_with_backward(weights, features)
        if not self.n_log_std:
            return output, linear_backward
        log_std = next(weights).expand(-1, output.shape[1], -1)

        def backward(gradient: Tensor) -> tuple[Tensor, Gradients]:
            grad_output, grad_log_std = torch.split(gradient, [self.linear.n_out, self.n_log_std], -1)
            grad_features, gradients = linear_backward(grad_output)
            return grad_features, [*gradients, grad_log_std.sum(1)]

        return torch.cat((output, log_std), -1), backward

    def describe(self) -> list[tuple[str, str]]:
        log_std = [("log_std", f"Parameter({self.n_log_std})")] if self.n_log_std else []
        return self.linear.describe() + log_std


def body(config: ArchitectureConfig, interface: Interface) -> Body:
    """Build the network before the heads, sized by the interface."""
    parts: list[Perceptron | Convolutions] = []
    n_images = 0
    for shape in interface.input_shapes:
        if len(shape) == 1:
            sizes = [shape[0], *config.hidden_sizes]
            layers = tuple(
                Linear(f"hidden{i}", n_in, n_out, config.init) for i, (n_in, n_out) in enumerate(pairwise(sizes))
            )
            parts.append(Perceptron(layers, shape[0], config.activation))
        else:
            parts.append(Convolutions(f"image{n_images}", shape, config.cnn, config.init))
            n_images += 1
    return Body(tuple(parts))


def policy_head(config: ArchitectureConfig, interface: Interface, n_features: int) -> PolicyHead:
    """Build the actor's last layer."""
    linear = Linear("policy", n_features, interface.n_outputs, config.init, GAIN_POLICY)
    return PolicyHead(linear, interface.n_parameters - interface.n_outputs, config.log_std_init)


def value_head(config: ArchitectureConfig, n_features: int) -> Linear:
    """Build the critic's last layer."""
    return Linear("value", n_features, 1, config.init, GAIN_VALUE)
