"""Convolutions of M networks, with a backward pass that uses what acting already computed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor

from acexp.architectures.layers import (
    GAIN_HIDDEN,
    BackwardToParameters,
    Gradients,
    Linear,
    Weights,
    initial_bias,
    initial_weight,
)
from acexp.core.configs.architectures import ConvolutionConfig
from acexp.core.errors import UserError
from acexp.core.parameters import ParameterSpec
from acexp.core.tape import Tape

_aten = torch.ops.aten


@dataclass(frozen=True, slots=True)
class Convolutions:
    """Convolutions with relu, then a linear layer with relu: `[M, B, C, H, W]` -> `[M, B, features]`."""

    name: str
    shape: tuple[int, ...]
    config: ConvolutionConfig
    init: str

    def _sizes(self) -> list[tuple[int, int, int]]:
        """Return (channels, height, width) before the first layer and after each layer."""
        sizes = [(self.shape[0], self.shape[1], self.shape[2])]
        for channels, kernel, stride in self._layers():
            _, height, width = sizes[-1]
            if min(height, width) < kernel:
                raise UserError(
                    f"An image of {self.shape[1]} x {self.shape[2]} is too small for these convolutions: "
                    f"a kernel of {kernel} does not fit into {height} x {width}.",
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
            weight = initial_weight(self.init, GAIN_HIDDEN, fan_in, transposed=False)
            specs.append(ParameterSpec(f"{self.name}.conv{i}.weight", (channels, n_in, kernel, kernel), weight))
            specs.append(ParameterSpec(f"{self.name}.conv{i}.bias", (channels,), initial_bias(self.init, fan_in)))
        return specs + self._head().specs()

    def __call__(self, weights: Weights, x: Tensor, tape: Tape | None = None) -> Tensor:
        """Return the features; store on the tape, if any, what `forward_with_backward` would have to compute again."""
        members = self._convolve(self._take(weights), x, tape)
        features = torch.relu(self._head()(weights, _flat(members)))
        if tape is not None:
            for m, own_features in enumerate(features):
                tape.row(self._label(m, "features"), own_features).copy_(own_features)
        return features

    def forward_with_backward(
        self, weights: Weights, x: Tensor, tape: Tape | None = None
    ) -> tuple[Tensor, BackwardToParameters]:
        """Return the features and the backward pass. With a tape of T steps, `x` holds these steps in order."""
        layers = self._take(weights)
        weight, bias = next(weights), next(weights)
        if tape is None:
            members = self._convolve(layers, x)
            flat = _flat(members)
            features = torch.relu(self._head()(iter((weight, bias)), flat))
        else:
            n = len(layers) + 1
            members = [[tape.rows(self._label(m, i)) for i in range(n)] for m in range(len(x))]
            flat = _flat(members)
            features = _stack([tape.rows(self._label(m, "features")) for m in range(len(x))])

        def backward(gradient: Tensor) -> Gradients:
            gradient = _aten.threshold_backward(gradient, features, 0)
            grad_flat = self._head().grad_input(weight, gradient)
            grad_members = [
                self._backward_one_member(layers, m, outputs, grad_flat[m].view(outputs[-1].shape))
                for m, outputs in enumerate(members)
            ]
            grad_layers = [_stack(gradients) for gradients in zip(*grad_members, strict=True)]
            return [*grad_layers, *self._head().grad_parameters(flat, gradient)]

        return features, backward

    def _take(self, weights: Weights) -> list[tuple[Tensor, Tensor]]:
        """Return the weights `[M, C_out, C_in, K, K]` and biases `[M, C_out]` of the convolutions."""
        taken = list(islice(weights, 2 * len(self.config.strides)))
        return list(zip(taken[0::2], taken[1::2], strict=True))

    def _convolve(
        self, layers: Sequence[tuple[Tensor, Tensor]], x: Tensor, tape: Tape | None = None
    ) -> list[list[Tensor]]:
        """Return, for each member, its input and the output of every layer, `[B, C, H, W]` each.

        The members are computed one by one, because grouped convolutions are slower on the CPU and sum in an order that
        depends on M.
        """
        members = []
        for m, images in enumerate(x):
            # With channels last in memory, convolutions of these shapes take little more than half the time.
            if tape is None:
                outputs = [images.contiguous(memory_format=torch.channels_last)]
            else:
                outputs = [tape.row(self._label(m, 0), images).copy_(images)]
            for i, (weight, bias) in enumerate(layers):
                h = F.conv2d(outputs[i], weight[m], bias[m], self.config.strides[i])
                if tape is None:
                    outputs.append(torch.relu(h))
                else:
                    outputs.append(torch.clamp_min(h, 0.0, out=tape.row(self._label(m, i + 1), h)))
            members.append(outputs)
        return members

    def _label(self, member: int, layer: int | str) -> str:
        return f"{self.name}.{member}.{layer}"

    def _backward_one_member(
        self, layers: Sequence[tuple[Tensor, Tensor]], member: int, outputs: Sequence[Tensor], gradient: Tensor
    ) -> Gradients:
        """Return the gradients with respect to one member's parameters, given that of its last layer's output."""
        gradients: Gradients = []
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        for i in reversed(range(len(layers))):
            weight, stride = layers[i][0][member], self.config.strides[i]
            gradient = _aten.threshold_backward(gradient, outputs[i + 1], 0)
            gradient, grad_weight, grad_bias = _aten.convolution_backward(
                gradient, outputs[i], weight, [len(weight)], [stride, stride], [0, 0], [1, 1], False, [0, 0], 1,
                [i > 0, True, True],
            )  # fmt: skip
            gradients[:0] = [grad_weight, grad_bias]
        return gradients

    def describe(self) -> list[tuple[str, str]]:
        rows = []
        for i, ((channels, kernel, stride), size) in enumerate(zip(self._layers(), self._sizes(), strict=False)):
            rows.append((f"{self.name}.conv{i}", f"Conv2d({size[0]}, {channels}, {kernel}, stride={stride}), relu"))
        (name, layer), *_ = self._head().describe()
        return [*rows, (name, f"{layer}, relu")]


def _flat(members: Sequence[Sequence[Tensor]]) -> Tensor:
    """Return the last layer's flattened outputs, `[M, B, C * H * W]`."""
    return _stack([outputs[-1].flatten(1) for outputs in members])


def _stack(members: Sequence[Tensor]) -> Tensor:
    return members[0].unsqueeze(0) if len(members) == 1 else torch.stack(tuple(members))
