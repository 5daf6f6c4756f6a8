"""Layers of M networks at once: each is a description that lists its parameters and is applied to tensors of them.

Stacking is the whole trick of a population: one `baddbmm` on `[M, in, out]` weights does the work of M small linear
layers for the price, at these sizes, of one.

Called, a layer gives its output. `trace` gives the way back as well, written out by hand: at these sizes autograd's
bookkeeping takes longer than the arithmetic (docs/decisions/0005). What is dear by itself is left to autograd.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from acexp.architectures.base import ACTIVATIONS, ArchitectureConfig, ConvolutionConfig, Interface
from acexp.core.errors import UserError
from acexp.core.observations import Inputs
from acexp.core.parameters import Initializer, ParameterSpec

GAIN_HIDDEN = math.sqrt(2.0)
GAIN_POLICY = 0.01
GAIN_VALUE = 1.0

Weights = Iterator[Tensor]
"""The parameters `[M, *shape]` of a network in the order of its specs; each layer takes its own."""

Gradients = list[Tensor]
"""By the parameters of a layer, in the order of its specs."""

ToParameters = Callable[[Tensor], Gradients]
"""From the gradient by a network's output to that by its parameters."""

ToAll = Callable[[Tensor], tuple[Tensor, Gradients]]
"""From the gradient by a layer's output to that by its input, and by its parameters."""


def _weight(init: str, gain: float, fan_in: int, *, transposed: bool) -> Initializer:
    def initialize(out: Tensor, generator: torch.Generator) -> None:
        if init == "torch":
            bound = 1.0 / math.sqrt(fan_in)
            out.uniform_(-bound, bound, generator=generator)
            return
        matrix = out.T if transposed else out
        fresh = torch.empty(matrix.shape)
        nn.init.orthogonal_(fresh, gain, generator=generator)
        matrix.copy_(fresh)

    return initialize


def _bias(init: str, fan_in: int) -> Initializer:
    def initialize(out: Tensor, generator: torch.Generator) -> None:
        if init == "torch":
            bound = 1.0 / math.sqrt(fan_in)
            out.uniform_(-bound, bound, generator=generator)

    return initialize


def constant(value: float) -> Initializer:
    """Every entry the same; draws nothing."""

    def initialize(out: Tensor, generator: torch.Generator) -> None:
        out.fill_(value)

    return initialize


@dataclass(frozen=True, slots=True)
class Linear:
    """`x W + b`, with weights `[M, in, out]` and biases `[M, 1, out]`: `[M, B, in]` -> `[M, B, out]`."""

    name: str
    n_in: int
    n_out: int
    init: str
    gain: float = GAIN_HIDDEN

    def specs(self) -> list[ParameterSpec]:
        weight = _weight(self.init, self.gain, self.n_in, transposed=True)
        return [
            ParameterSpec(f"{self.name}.weight", (self.n_in, self.n_out), weight),
            ParameterSpec(f"{self.name}.bias", (self.n_out,), _bias(self.init, self.n_in), read_as=(1, self.n_out)),
        ]

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        weight, bias = next(weights), next(weights)
        if self.n_out == 1:
            # A product with one column is summed in an order that depends on M; this one is the same for every M.
            return (x * weight.mT).sum(-1, keepdim=True) + bias
        return torch.baddbmm(bias, x, weight)

    def to_parameters(self, x: Tensor, gradient: Tensor) -> Gradients:
        """From the gradient by the output, which came of `x`."""
        by_weight = (x * gradient).sum(1).unsqueeze(-1) if self.n_out == 1 else torch.bmm(x.mT, gradient)
        return [by_weight, gradient.sum(1)]

    def to_input(self, weight: Tensor, gradient: Tensor) -> Tensor:
        """From the gradient by the output."""
        return gradient * weight.mT if self.n_out == 1 else torch.bmm(gradient, weight.mT)

    def trace(self, weights: Weights, x: Tensor) -> tuple[Tensor, ToAll]:
        """The output, and the way back."""
        weight, bias = next(weights), next(weights)

        def back(gradient: Tensor) -> tuple[Tensor, Gradients]:
            return self.to_input(weight, gradient), self.to_parameters(x, gradient)

        return self(iter((weight, bias)), x), back

    def describe(self) -> list[tuple[str, str]]:
        return [(self.name, f"Linear({self.n_in}, {self.n_out})")]


@dataclass(frozen=True, slots=True)
class Convolutions:
    """Convolutions with relu, then a linear layer with relu: `[M, B, C, H, W]` -> `[M, B, features]`."""

    name: str
    shape: tuple[int, ...]
    config: ConvolutionConfig
    init: str

    def _sizes(self) -> list[tuple[int, int, int]]:
        """(channels, height, width) before the first layer and after each."""
        sizes = [(self.shape[0], self.shape[1], self.shape[2])]
        for channels, kernel, stride in self._layers():
            _, height, width = sizes[-1]
            if min(height, width) < kernel:
                raise UserError(
                    f"An image of {self.shape[1]} x {self.shape[2]} is too small for these convolutions: "
                    f"a kernel of {kernel} meets {height} x {width}.",
                    key="arch.cnn.kernel_sizes",
                    value=str(list(self.config.kernel_sizes)),
                    remedy="use fewer or smaller kernels, or smaller strides",
                )
            sizes.append((channels, (height - kernel) // stride + 1, (width - kernel) // stride + 1))
        return sizes

    def _layers(self) -> list[tuple[int, int, int]]:
        return list(zip(self.config.channels, self.config.kernel_sizes, self.config.strides, strict=True))

    def _head(self) -> Linear:
        return Linear(f"{self.name}.linear", math.prod(self._sizes()[-1]), self.config.features, self.init)

    @property
    def n_out(self) -> int:
        return self.config.features

    def specs(self) -> list[ParameterSpec]:
        specs = []
        for i, ((channels, kernel, _), (n_in, _, _)) in enumerate(zip(self._layers(), self._sizes(), strict=False)):
            fan_in = n_in * kernel * kernel
            weight = _weight(self.init, GAIN_HIDDEN, fan_in, transposed=False)
            specs.append(ParameterSpec(f"{self.name}.conv{i}.weight", (channels, n_in, kernel, kernel), weight))
            specs.append(ParameterSpec(f"{self.name}.conv{i}.bias", (channels,), _bias(self.init, fan_in)))
        return specs + self._head().specs()

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        layers = [(next(weights), next(weights), stride) for stride in self.config.strides]
        # One member after the other: grouped convolutions are slower on the CPU, and the sums' order depends on M.
        members = []
        for m in range(len(x)):
            # Convolutions of these shapes take little more than half the time with channels last in memory.
            h = x[m].contiguous(memory_format=torch.channels_last)
            for weight, bias, stride in layers:
                h = torch.relu(F.conv2d(h, weight[m], bias[m], stride))
            members.append(h.flatten(1))
        features = members[0].unsqueeze(0) if len(members) == 1 else torch.stack(members)
        return torch.relu(self._head()(weights, features))

    def trace(self, weights: Weights, x: Tensor) -> tuple[Tensor, ToParameters]:
        """The features, and the way back."""
        leaves = [next(weights).detach().requires_grad_() for _ in self.specs()]
        with torch.enable_grad():
            features = self(iter(leaves), x)

        def back(gradient: Tensor) -> Gradients:
            return list(torch.autograd.grad(features, leaves, gradient, retain_graph=True))

        return features.detach(), back

    def describe(self) -> list[tuple[str, str]]:
        rows = []
        for i, ((channels, kernel, stride), size) in enumerate(zip(self._layers(), self._sizes(), strict=False)):
            rows.append((f"{self.name}.conv{i}", f"Conv2d({size[0]}, {channels}, {kernel}, stride={stride}), relu"))
        (name, layer), *_ = self._head().describe()
        return [*rows, (name, f"{layer}, relu")]


@dataclass(frozen=True, slots=True)
class Perceptron:
    """Hidden layers, each followed by the activation: `[M, B, in]` -> `[M, B, last hidden size]`."""

    layers: tuple[Linear, ...]
    n_in: int
    activation: str

    @property
    def n_out(self) -> int:
        return self.layers[-1].n_out if self.layers else self.n_in

    def specs(self) -> list[ParameterSpec]:
        return [spec for layer in self.layers for spec in layer.specs()]

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        activate = ACTIVATIONS[self.activation].forward
        for layer in self.layers:
            x = activate(layer(weights, x))
        return x

    def trace(self, weights: Weights, x: Tensor) -> tuple[Tensor, ToParameters]:
        """The features, and the way back."""
        activate, activate_back = ACTIVATIONS[self.activation]
        passed = []
        for layer in self.layers:
            weight, bias = next(weights), next(weights)
            before = layer(iter((weight, bias)), x)
            after = activate(before)
            passed.append((layer, weight, x, before, after))
            x = after

        def back(gradient: Tensor) -> Gradients:
            gradients: Gradients = []
            for layer, weight, x, before, after in reversed(passed):
                gradient = activate_back(gradient, before, after)
                gradients[:0] = layer.to_parameters(x, gradient)
                if layer is not self.layers[0]:
                    gradient = layer.to_input(weight, gradient)
            return gradients

        return x, back

    def describe(self) -> list[tuple[str, str]]:
        return [(name, f"{text}, {self.activation}") for layer in self.layers for name, text in layer.describe()]


@dataclass(frozen=True, slots=True)
class Body:
    """From every input to one vector of features: a perceptron for the vector, convolutions for each image."""

    parts: tuple[Perceptron | Convolutions, ...]

    @property
    def n_out(self) -> int:
        return sum(part.n_out for part in self.parts)

    def specs(self) -> list[ParameterSpec]:
        return [spec for part in self.parts for spec in part.specs()]

    def __call__(self, weights: Weights, inputs: Inputs) -> Tensor:
        features = [part(weights, x) for part, x in zip(self.parts, inputs, strict=True)]
        return features[0] if len(features) == 1 else torch.cat(features, -1)

    def trace(self, weights: Weights, inputs: Inputs) -> tuple[Tensor, ToParameters]:
        """The features, and the way back."""
        traced = [part.trace(weights, x) for part, x in zip(self.parts, inputs, strict=True)]
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

    def trace(self, weights: Weights, features: Tensor) -> tuple[Tensor, ToAll]:
        """The policy's parameters, and the way back."""
        output, back_linear = self.linear.trace(weights, features)
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


def columns(gradients: Gradients) -> Tensor:
    """Gradients by neighbouring parameters `[M, *shape]`, side by side: `[M, P']`."""
    return torch.cat([gradient.flatten(1) for gradient in gradients], 1)


def value_head(config: ArchitectureConfig, n_features: int) -> Linear:
    """The critic's last layer."""
    return Linear("value", n_features, 1, config.init, GAIN_VALUE)
