"""Convolutions of M networks, with the way back and what acting already computed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor

from acexp.architectures.base import ConvolutionConfig
from acexp.architectures.layers import (
    GAIN_HIDDEN,
    Gradients,
    Linear,
    ToParameters,
    Weights,
    initial_bias,
    initial_weight,
)
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
            weight = initial_weight(self.init, GAIN_HIDDEN, fan_in, transposed=False)
            specs.append(ParameterSpec(f"{self.name}.conv{i}.weight", (channels, n_in, kernel, kernel), weight))
            specs.append(ParameterSpec(f"{self.name}.conv{i}.bias", (channels,), initial_bias(self.init, fan_in)))
        return specs + self._head().specs()

    def __call__(self, weights: Weights, x: Tensor, tape: Tape | None = None) -> Tensor:
        """The features; with a tape, what `trace` would have to compute again is kept on it."""
        members = self._convolve(self._take(weights), x, tape)
        features = torch.relu(self._head()(weights, _flat(members)))
        if tape is not None:
            for m, mine in enumerate(features):
                tape.row(self._label(m, "features"), mine).copy_(mine)
        return features

    def forward_with_backward(
        self, weights: Weights, x: Tensor, tape: Tape | None = None
    ) -> tuple[Tensor, ToParameters]:
        """The features, and the way back. With the tape of T steps, `x` holds those steps, one after the other."""
        layers = self._take(weights)
        weight, bias = next(weights), next(weights)
        if tape is None:
            members = self._convolve(layers, x)
            flat = _flat(members)
            features = torch.relu(self._head()(iter((weight, bias)), flat))
        else:
            n = len(layers) + 1
            members = [[tape.kept(self._label(m, i)) for i in range(n)] for m in range(len(x))]
            flat = _flat(members)
            features = _stack([tape.kept(self._label(m, "features")) for m in range(len(x))])

        def back(gradient: Tensor) -> Gradients:
            gradient = _aten.threshold_backward(gradient, features, 0)
            by_flat = self._head().to_input(weight, gradient)
            by_members = [
                self._back_through_one(layers, m, passed, by_flat[m].view(passed[-1].shape))
                for m, passed in enumerate(members)
            ]
            by_layers = [_stack(gradients) for gradients in zip(*by_members, strict=True)]
            return [*by_layers, *self._head().to_parameters(flat, gradient)]

        return features, back

    def _take(self, weights: Weights) -> list[tuple[Tensor, Tensor]]:
        """Weights `[M, C_out, C_in, K, K]` and biases `[M, C_out]` of the convolutions."""
        mine = list(islice(weights, 2 * len(self.config.strides)))
        return list(zip(mine[0::2], mine[1::2], strict=True))

    def _convolve(
        self, layers: Sequence[tuple[Tensor, Tensor]], x: Tensor, tape: Tape | None = None
    ) -> list[list[Tensor]]:
        """For each member, its input and what every layer makes of it, `[B, C, H, W]`.

        One member after the other: grouped convolutions are slower on the CPU, and the sums' order depends on M.
        """
        members = []
        for m, images in enumerate(x):
            # Convolutions of these shapes take little more than half the time with channels last in memory.
            if tape is None:
                passed = [images.contiguous(memory_format=torch.channels_last)]
            else:
                passed = [tape.row(self._label(m, 0), images).copy_(images)]
            for i, (weight, bias) in enumerate(layers):
                h = F.conv2d(passed[i], weight[m], bias[m], self.config.strides[i])
                if tape is None:
                    passed.append(torch.relu(h))
                else:
                    passed.append(torch.clamp_min(h, 0.0, out=tape.row(self._label(m, i + 1), h)))
            members.append(passed)
        return members

    def _label(self, member: int, layer: int | str) -> str:
        return f"{self.name}.{member}.{layer}"

    def _back_through_one(
        self, layers: Sequence[tuple[Tensor, Tensor]], member: int, passed: Sequence[Tensor], gradient: Tensor
    ) -> Gradients:
        """From the gradient by one member's last layer to that by its weights and biases."""
        gradients: Gradients = []
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        for i in reversed(range(len(layers))):
            weight, stride = layers[i][0][member], self.config.strides[i]
            gradient = _aten.threshold_backward(gradient, passed[i + 1], 0)
            gradient, by_weight, by_bias = _aten.convolution_backward(
                gradient, passed[i], weight, [len(weight)], [stride, stride], [0, 0], [1, 1], False, [0, 0], 1,
                [i > 0, True, True],
            )  # fmt: skip
            gradients[:0] = [by_weight, by_bias]
        return gradients

    def describe(self) -> list[tuple[str, str]]:
        rows = []
        for i, ((channels, kernel, stride), size) in enumerate(zip(self._layers(), self._sizes(), strict=False)):
            rows.append((f"{self.name}.conv{i}", f"Conv2d({size[0]}, {channels}, {kernel}, stride={stride}), relu"))
        (name, layer), *_ = self._head().describe()
        return [*rows, (name, f"{layer}, relu")]


def _flat(members: Sequence[Sequence[Tensor]]) -> Tensor:
    """What the last layer gave, `[M, B, C * H * W]`."""
    return _stack([passed[-1].flatten(1) for passed in members])


def _stack(members: Sequence[Tensor]) -> Tensor:
    return members[0].unsqueeze(0) if len(members) == 1 else torch.stack(tuple(members))
