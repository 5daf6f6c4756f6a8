"""Layers of M networks at once: each is a description that lists its parameters and is applied to tensors of them.

Stacking is the whole trick of a population: one `baddbmm` on `[M, in, out]` weights does the work of M small linear
layers for the price, at these sizes, of one.

Called, a layer gives its output. `trace` gives the way back as well, written out by hand: at these sizes autograd's
bookkeeping takes longer than the arithmetic (docs/decisions/0005).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from acexp.architectures.base import ACTIVATIONS
from acexp.core.parameters import Initializer, ParameterSpec
from acexp.core.tape import Tape

GAIN_HIDDEN = math.sqrt(2.0)

Weights = Iterator[Tensor]
"""The parameters `[M, *shape]` of a network in the order of its specs; each layer takes its own."""

Gradients = list[Tensor]
"""By the parameters of a layer, in the order of its specs."""

ToParameters = Callable[[Tensor], Gradients]
"""From the gradient by a network's output to that by its parameters."""

ToAll = Callable[[Tensor], tuple[Tensor, Gradients]]
"""From the gradient by a layer's output to that by its input, and by its parameters."""


def initial_weight(init: str, gain: float, fan_in: int, *, transposed: bool) -> Initializer:
    """Of a matrix or of convolutions, whose rows, or columns if transposed, are the outputs."""

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


def initial_bias(init: str, fan_in: int) -> Initializer:
    """Zero, unless PyTorch's own default is asked for."""

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
        weight = initial_weight(self.init, self.gain, self.n_in, transposed=True)
        return [
            ParameterSpec(f"{self.name}.weight", (self.n_in, self.n_out), weight),
            ParameterSpec(
                f"{self.name}.bias", (self.n_out,), initial_bias(self.init, self.n_in), read_as=(1, self.n_out)
            ),
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

    def forward_with_backward(self, weights: Weights, x: Tensor) -> tuple[Tensor, ToAll]:
        """The output, and the way back."""
        weight, bias = next(weights), next(weights)

        def back(gradient: Tensor) -> tuple[Tensor, Gradients]:
            return self.to_input(weight, gradient), self.to_parameters(x, gradient)

        return self(iter((weight, bias)), x), back

    def describe(self) -> list[tuple[str, str]]:
        return [(self.name, f"Linear({self.n_in}, {self.n_out})")]


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

    def __call__(self, weights: Weights, x: Tensor, tape: Tape | None = None) -> Tensor:
        """The features; nothing is kept on a tape, as computing it again is cheaper."""
        activate = ACTIVATIONS[self.activation].forward
        for layer in self.layers:
            x = activate(layer(weights, x))
        return x

    def forward_with_backward(
        self, weights: Weights, x: Tensor, tape: Tape | None = None
    ) -> tuple[Tensor, ToParameters]:
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


def columns(gradients: Gradients) -> Tensor:
    """Gradients by neighbouring parameters `[M, *shape]`, side by side: `[M, P']`."""
    return torch.cat([gradient.flatten(1) for gradient in gradients], 1)
