"""What an architecture is, what its config says, and the registry."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from acexp.core.errors import UserError
from acexp.core.observations import Inputs
from acexp.core.parameters import Parameters
from acexp.core.registry import Registry
from acexp.core.tape import Tape


class Activation(NamedTuple):
    """A function applied to each entry, and the way back.

    Attributes:
        forward: `y = f(x)`.
        backward: the gradient by x, from the gradient by y, x and y.
    """

    forward: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor, Tensor, Tensor], Tensor]


_aten = torch.ops.aten
ACTIVATIONS: dict[str, Activation] = {
    "tanh": Activation(torch.tanh, lambda gradient, x, y: _aten.tanh_backward(gradient, y)),
    "relu": Activation(torch.relu, lambda gradient, x, y: _aten.threshold_backward(gradient, y, 0)),
    "elu": Activation(F.elu, lambda gradient, x, y: _aten.elu_backward(gradient, 1, 1, 1, False, x)),
    "gelu": Activation(F.gelu, lambda gradient, x, y: _aten.gelu_backward(gradient, x)),
    "silu": Activation(F.silu, lambda gradient, x, y: _aten.silu_backward(gradient, x)),
}
INITIALIZATIONS = ("orthogonal", "torch")
LARGEST_LOG_STD = 80
"""exp(88) is the largest float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvolutionConfig:
    """The convolutions that read an image; the defaults are those of Mnih et al. (2015).

    Attributes:
        channels, kernel_sizes, strides: one number per layer.
        features: width of the linear layer behind them.
    """

    channels: list[int] = field(default_factory=lambda: [32, 64, 64])
    kernel_sizes: list[int] = field(default_factory=lambda: [8, 4, 3])
    strides: list[int] = field(default_factory=lambda: [4, 2, 1])
    features: int = 512

    def __post_init__(self) -> None:
        lengths = {len(self.channels), len(self.kernel_sizes), len(self.strides)}
        if len(lengths) != 1 or not self.channels:
            raise UserError(
                "channels, kernel_sizes and strides need one number per layer, and at least one layer.",
                value=f"{self.channels}, {self.kernel_sizes}, {self.strides}",
            )
        if min(*self.channels, *self.kernel_sizes, *self.strides, self.features) < 1:
            raise UserError(
                "Sizes of convolutions are positive.",
                value=f"{self.channels}, {self.kernel_sizes}, {self.strides}, {self.features}",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchitectureConfig:
    """What every architecture can be told. One of your own may inherit from it and add fields.

    Attributes:
        name: which one.
        hidden_sizes: widths of the hidden layers that read vectors; empty for a linear network.
        activation: one of ACTIVATIONS, after each hidden layer. Convolutions use relu.
        init: `orthogonal` (gain sqrt 2, policy head 0.01, value head 1) or `torch`, PyTorch's own default.
        log_std_init: the initial log standard deviation of a Gaussian policy.
        cnn: the convolutions that read images.
    """

    name: str
    hidden_sizes: list[int] = field(default_factory=lambda: [64, 64])
    activation: str = "tanh"
    init: str = "orthogonal"
    log_std_init: float = 0.0
    cnn: ConvolutionConfig = field(default_factory=ConvolutionConfig)

    def __post_init__(self) -> None:
        if any(size < 1 for size in self.hidden_sizes):
            raise UserError("Hidden layers have at least one unit.", key="hidden_sizes", value=str(self.hidden_sizes))
        if not abs(self.log_std_init) <= LARGEST_LOG_STD:
            raise UserError(
                f"A log standard deviation lies between -{LARGEST_LOG_STD} and {LARGEST_LOG_STD}.",
                key="log_std_init",
                value=self.log_std_init,
            )
        for key, value, choices in (
            ("activation", self.activation, tuple(ACTIVATIONS)),
            ("init", self.init, INITIALIZATIONS),
        ):
            if value not in choices:
                raise UserError(f"There is no {key} called {value!r}.", key=key, value=value, choices=choices)


@dataclass(frozen=True, slots=True)
class Interface:
    """What a network has to fit, read off the environment's spaces.

    Attributes:
        input_shapes: of one slot: one vector `(features,)` if there is any, then each image `(C, H, W)`.
        n_outputs: what the policy's last layer gives.
        n_parameters: K, with the state-independent log standard deviations of a Gaussian.
    """

    input_shapes: tuple[tuple[int, ...], ...]
    n_outputs: int
    n_parameters: int


class Backward(Protocol):
    """The way back from the outputs of both networks to their parameters. It may be called more than once."""

    def __call__(self, policy: Tensor | None, values: Tensor | None, modules: Collection[str]) -> Tensor:
        """The gradient of losses, one per member, by each member's parameters.

        Args:
            policy: their gradient by the policy's parameters, `[M, B, K]`, or None if they do not depend on them.
            values: their gradient by the values, `[M, B]`, or None.
            modules: by whose parameters, `actor`, `trunk` or `critic`; those that the architecture lacks may be named.

        Returns:
            `[M, P']`, the modules' parameters in column order.
        """


class Architecture(Protocol):
    """The actors and critics of M members.

    `inputs` are float32 `[M, B, *shape]`, one tensor per input shape of the interface.
    """

    parameters: Parameters

    def policy(self, inputs: Inputs, tape: Tape | None = None) -> Tensor:
        """The actor's output, `[M, B, K]`. What `evaluate` can use again may be kept on the tape."""

    def value(self, inputs: Inputs) -> Tensor:
        """The critic's output, `[M, B]`."""

    def evaluate(self, inputs: Inputs, tape: Tape | None = None) -> tuple[Tensor, Tensor, Backward]:
        """Both, `[M, B, K]` and `[M, B]`, computing what they share once, and the way back from them.

        `tape` is what `policy` was given at each of the steps that `inputs` holds one after the other, with the same
        parameters.
        """

    def describe(self) -> list[tuple[str, str]]:
        """The layers as (name, what it is) rows, for people."""


Builder = Callable[[ArchitectureConfig, Interface, Sequence[torch.Generator], torch.device], Architecture]
ARCHITECTURES: Registry[Builder] = Registry("arch", ArchitectureConfig)
