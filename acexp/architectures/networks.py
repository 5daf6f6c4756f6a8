"""The networks that the built-in architectures are made of: inputs to features, features to policy and value."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from acexp.architectures.base import ArchitectureConfig, Interface
from acexp.architectures.convolutions import Convolutions
from acexp.architectures.layers import Gradients, Linear, Perceptron, ToAll, ToParameters, Weights, constant
from acexp.core.observations import Inputs
from acexp.core.parameters import ParameterSpec
from acexp.core.tape import Tape

GAIN_POLICY = 0.01
GAIN_VALUE = 1.0


@dataclass(frozen=True, slots=True)
class Body:
    """From every input to one vector of features: a perceptron for the vector, convolutions for each image."""

    parts: tuple[Perceptron | Convolutions, ...]

    @property
    def n_out(self) -> int:
        return sum(part.n_out for part in self.parts)

    def specs(self) -> list[ParameterSpec]:
        return [spec for part in self.parts for spec in part.specs()]

    def __call__(self, weights: Weights, inputs: Inputs, tape: Tape | None = None) -> Tensor:
        """The features; with a tape, what `trace` would have to compute again is kept on it."""
        features = [part(weights, x, tape) for part, x in zip(self.parts, inputs, strict=True)]
        return features[0] if len(features) == 1 else torch.cat(features, -1)

    def forward_with_backward(
        self, weights: Weights, inputs: Inputs, tape: Tape | None = None
    ) -> tuple[Tensor, ToParameters]:
        """The features, and the way back. With the tape of T steps, `inputs` are those steps, one after the other."""
        traced = [part.forward_with_backward(weights, x, tape) for part, x in zip(self.parts, inputs, strict=True)]
        if len(traced) == 1:
            return traced[0]
        sizes = [part.n_out for part in self.parts]

        def back(gradient: Tensor) -> Gradients:
            by_parts = torch.split(gradient, sizes, -1)
            return [by for (_, part), by_part in zip(traced, by_parts, strict=True) for by in part(by_part)]

        return torch.cat([features for features, _ in traced], -1), back

    def describe(self) -> list[tuple[str, str]]:
        return [row for part in self.parts for row in part.describe()]


@dataclass(frozen=True, slots=True)
class PolicyHead:
    """Features to policy parameters, log standard deviations last: `[M, B, features]` -> `[M, B, K]`."""

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

    def forward_with_backward(self, weights: Weights, features: Tensor) -> tuple[Tensor, ToAll]:
        """The policy's parameters, and the way back."""
        output, back_linear = self.linear.forward_with_backward(weights, features)
        if not self.n_log_std:
            return output, back_linear
        log_std = next(weights).expand(-1, output.shape[1], -1)

        def back(gradient: Tensor) -> tuple[Tensor, Gradients]:
            by_output, by_log_std = torch.split(gradient, [self.linear.n_out, self.n_log_std], -1)
            by_features, gradients = back_linear(by_output)
            return by_features, [*gradients, by_log_std.sum(1)]

        return torch.cat((output, log_std), -1), back

    def describe(self) -> list[tuple[str, str]]:
        log_std = [("log_std", f"Parameter({self.n_log_std})")] if self.n_log_std else []
        return self.linear.describe() + log_std


def body(config: ArchitectureConfig, interface: Interface) -> Body:
    """The network before the heads, sized by the interface."""
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
    """The actor's last layer."""
    linear = Linear("policy", n_features, interface.n_outputs, config.init, GAIN_POLICY)
    return PolicyHead(linear, interface.n_parameters - interface.n_outputs, config.log_std_init)


def value_head(config: ArchitectureConfig, n_features: int) -> Linear:
    """The critic's last layer."""
    return Linear("value", n_features, 1, config.init, GAIN_VALUE)
