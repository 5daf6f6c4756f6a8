"""Layers of M networks at once. A layer lists the parameters that it needs and is called with tensors of them.

A population is fast because its parameters are stacked: one `baddbmm` on `[M, in, out]` weights does the work of M
small linear layers in the time, at these sizes, of one.

Calling a layer returns its output. `forward_with_backward` also returns the backward pass, written out by hand: at
these sizes autograd's bookkeeping takes longer than the arithmetic (docs/decisions/0005).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from acexp.architectures.base import ACTIVATIONS
from acexp.core.arrays import Array, affine, library
from acexp.core.parameters import Initializer, ParameterSpec
from acexp.core.tape import Tape

_aten = torch.ops.aten
GAIN_HIDDEN = math.sqrt(2.0)
LAYER_NORM_EPS = 1e-5
"""The number that PyTorch's LayerNorm adds to the variance."""

Weights = Iterator[Array]
"""An iterator over the parameters `[M, *shape]` of a network in the order of its specs; each layer takes its own."""

Gradients = list[Array]
"""The gradients with respect to the parameters of a layer, in the order of its specs."""

BackwardToParameters = Callable[[Array], Gradients]
"""A function from the gradient with respect to a network's output to those with respect to its parameters."""

BackwardToAll = Callable[[Array], tuple[Array, Gradients]]
"""A function from the gradient with respect to a layer's output to those with respect to its input and parameters."""


def initial_weight(init: str, gain: float, fan_in: int, *, transposed: bool) -> Initializer:
    """Return the initializer of a matrix or of convolutions; outputs are its rows, or its columns if transposed."""

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
    """Return the initializer of a bias: zero, or PyTorch's default if `init` is `torch`."""

    def initialize(out: Tensor, generator: torch.Generator) -> None:
        if init == "torch":
            bound = 1.0 / math.sqrt(fan_in)
            out.uniform_(-bound, bound, generator=generator)

    return initialize


def constant(value: float) -> Initializer:
    """Return an initializer that sets every entry to `value` and draws no random numbers."""

    def initialize(out: Tensor, generator: torch.Generator) -> None:
        out.fill_(value)

    return initialize


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear layer `x W + b`, with weights `[M, in, out]` and biases `[M, 1, out]`: `[M, B, in]` -> `[M, B, out]`.

    Vectors of zeros and ones can be given as the indices of their ones, int64 `[M, B, n]`: their product with the
    weights is a sum of n rows, which are looked up.
    """

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

    def __call__(self, weights: Weights, x: Array) -> Array:
        weight, bias = next(weights), next(weights)
        if x.dtype is torch.int64:
            return weight[torch.arange(len(x), device=x.device).view(-1, 1, 1), x].sum(2) + bias
        if self._sums_by_hand(x):
            return (x * weight.mT).sum(-1)[..., None] + bias
        return affine(x, weight, bias)

    def _sums_by_hand(self, x: Array) -> bool:
        """Return True for a product with one column in PyTorch, which sums it in an order that depends on M."""
        return self.n_out == 1 and library(x) is torch

    def grad_parameters(self, x: Array, gradient: Array) -> Gradients:
        """Return the gradients with respect to weight and bias, given the input and the output's gradient."""
        if x.dtype is torch.int64:
            return [self._grad_rows(x, gradient), gradient.sum(1)]
        grad_weight = (x * gradient).sum(1)[..., None] if self._sums_by_hand(x) else x.mT @ gradient
        return [grad_weight, gradient.sum(1)]

    def _grad_rows(self, x: Tensor, gradient: Tensor) -> Tensor:
        """Return the gradient with respect to the weight, to whose rows `x` the gradients of the slots are added."""
        grad_weight = gradient.new_zeros(len(x), self.n_in, self.n_out)
        for own_weight, own_x, own_gradient in zip(grad_weight, x, gradient, strict=True):
            own_weight.index_add_(0, own_x.flatten(), own_gradient.repeat_interleave(x.shape[2], 0))
        return grad_weight

    def grad_input(self, weight: Array, gradient: Array) -> Array:
        """Return the gradient with respect to the input, given the weight and the output's gradient."""
        return gradient * weight.mT if self._sums_by_hand(gradient) else gradient @ weight.mT

    def forward_with_backward(self, weights: Weights, x: Array) -> tuple[Array, BackwardToAll]:
        """Return the output and the backward pass."""
        weight, bias = next(weights), next(weights)

        def backward(gradient: Array) -> tuple[Array, Gradients]:
            return self.grad_input(weight, gradient), self.grad_parameters(x, gradient)

        return self(iter((weight, bias)), x), backward

    def describe(self) -> list[tuple[str, str]]:
        return [(self.name, f"Linear({self.n_in}, {self.n_out})")]


@dataclass(frozen=True, slots=True)
class LayerNorm:
    """Layer normalization: mean 0 and variance 1 over the units, then a gain and a bias: `[M, B, n]` -> `[M, B, n]`."""

    name: str
    n: int

    def specs(self) -> list[ParameterSpec]:
        return [
            ParameterSpec(f"{self.name}.weight", (self.n,), constant(1.0), read_as=(1, self.n)),
            ParameterSpec(f"{self.name}.bias", (self.n,), constant(0.0), read_as=(1, self.n)),
        ]

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        gain, bias = next(weights), next(weights)
        return F.layer_norm(x, (self.n,), eps=LAYER_NORM_EPS) * gain + bias

    def forward_with_backward(self, weights: Weights, x: Tensor) -> tuple[Tensor, BackwardToAll]:
        """Return the output and the backward pass."""
        gain, bias = next(weights), next(weights)
        normalized, mean, inverse_std = _aten.native_layer_norm(x, [self.n], None, None, LAYER_NORM_EPS)

        def backward(gradient: Tensor) -> tuple[Tensor, Gradients]:
            grad_x, _, _ = _aten.native_layer_norm_backward(
                gradient * gain, x, [self.n], mean, inverse_std, None, None, [True, False, False]
            )
            return grad_x, [(gradient * normalized).sum(1), gradient.sum(1)]

        return normalized * gain + bias, backward

    def describe(self) -> str:
        return f"LayerNorm({self.n})"


class HiddenLayer(NamedTuple):
    """A linear layer, and the normalization of its outputs, if there is one."""

    linear: Linear
    norm: LayerNorm | None


@dataclass(frozen=True, slots=True)
class Perceptron:
    """Hidden layers, each followed by the activation: `[M, B, in]` -> `[M, B, last hidden size]`."""

    layers: tuple[HiddenLayer, ...]
    n_in: int
    activation: str

    @property
    def n_out(self) -> int:
        return self.layers[-1].linear.n_out if self.layers else self.n_in

    def specs(self) -> list[ParameterSpec]:
        return [spec for layer in self.layers for part in layer if part is not None for spec in part.specs()]

    @property
    def in_numpy(self) -> bool:
        """Whether its formulas can compute with NumPy arrays as well."""
        return ACTIVATIONS[self.activation].in_numpy and all(norm is None for _, norm in self.layers)

    def __call__(self, weights: Weights, x: Array, tape: Tape | None = None) -> Array:
        """Return the features. Nothing is stored on the tape, because computing it again is cheaper."""
        activate = ACTIVATIONS[self.activation].forward
        for linear, norm in self.layers:
            x = linear(weights, x)
            x = activate(x if norm is None else norm(weights, x))
        return x

    def forward_with_backward(
        self, weights: Weights, x: Array, tape: Tape | None = None
    ) -> tuple[Array, BackwardToParameters]:
        """Return the features and the backward pass."""
        activate, activation_backward, _ = ACTIVATIONS[self.activation]
        saved = []
        for linear, norm in self.layers:
            weight, bias = next(weights), next(weights)
            before = linear(iter((weight, bias)), x)
            norm_backward: BackwardToAll | None = None
            if norm is not None:
                before, norm_backward = norm.forward_with_backward(weights, before)
            after = activate(before)
            saved.append((linear, weight, x, norm_backward, before, after))
            x = after

        def backward(gradient: Array) -> Gradients:
            gradients: Gradients = []
            for linear, weight, x, norm_backward, before, after in reversed(saved):
                gradient = activation_backward(gradient, before, after)
                if norm_backward is not None:
                    gradient, grad_norm = norm_backward(gradient)
                    gradients[:0] = grad_norm
                gradients[:0] = linear.grad_parameters(x, gradient)
                if linear is not self.layers[0].linear:
                    gradient = linear.grad_input(weight, gradient)
            return gradients

        return x, backward

    def describe(self) -> list[tuple[str, str]]:
        rows = []
        for linear, norm in self.layers:
            ((name, text),) = linear.describe()
            steps = [text, *([] if norm is None else [norm.describe()]), self.activation]
            rows.append((name, ", ".join(steps)))
        return rows


def columns(gradients: Gradients) -> Array:
    """Concatenate gradients with respect to neighbouring parameters `[M, *shape]` to one array `[M, P']`."""
    flat = [gradient.reshape(len(gradient), -1) for gradient in gradients]
    joined: Array = library(flat[0]).concatenate(flat, 1)
    return joined
