"""The interface of architectures, their config and their registry."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F

from acexp.core.arrays import Array, relu, relu_backward, tanh, tanh_backward
from acexp.core.configs.architectures import ArchitectureConfig
from acexp.core.observations import Inputs
from acexp.core.parameters import Parameters
from acexp.core.registry import Registry
from acexp.core.tape import Tape


class Activation(NamedTuple):
    """An elementwise function and its backward pass.

    Attributes:
        forward: Computes `y = f(x)`.
        backward: Computes the gradient with respect to x, given the gradient with respect to y, x and y.
        in_numpy: Whether both can compute with NumPy arrays as well as with tensors.
    """

    forward: Callable[[Array], Array]
    backward: Callable[[Array, Array, Array], Array]
    in_numpy: bool = False


_aten = torch.ops.aten
ACTIVATIONS: dict[str, Activation] = {
    "tanh": Activation(tanh, lambda gradient, x, y: tanh_backward(gradient, y), in_numpy=True),
    "relu": Activation(relu, lambda gradient, x, y: relu_backward(gradient, y), in_numpy=True),
    "elu": Activation(F.elu, lambda gradient, x, y: _aten.elu_backward(gradient, 1, 1, 1, False, x)),
    "gelu": Activation(F.gelu, lambda gradient, x, y: _aten.gelu_backward(gradient, x)),
    "silu": Activation(F.silu, lambda gradient, x, y: _aten.silu_backward(gradient, x)),
}


@dataclass(frozen=True, slots=True)
class Interface:
    """The input and output sizes that a network must have, derived from the environment's spaces.

    Attributes:
        input_shapes: Input shapes for one slot: one vector `(features,)` if there is any, then each image `(C, H, W)`.
        n_outputs: Number of outputs of the policy's last layer.
        n_parameters: K, which includes the state-independent log standard deviations of a Gaussian.
        n_log_std: Number of the last layer's outputs, its last ones, that are log standard deviations.
    """

    input_shapes: tuple[tuple[int, ...], ...]
    n_outputs: int
    n_parameters: int
    n_log_std: int = 0


class Backward(Protocol):
    """The backward pass from the outputs of actor and critic to their parameters. It may be called more than once."""

    def __call__(self, policy: Array | None, values: Array | None, modules: Collection[str]) -> Array:
        """Return the gradient of one loss per member with respect to each member's parameters.

        Args:
            policy: Gradient with respect to the actor's output, `[M, B, K]`, or None if the losses do not depend on it.
            values: Gradient with respect to the values, `[M, B]`, or None if the losses do not depend on them.
            modules: The modules, of `actor`, `trunk` and `critic`, whose parameters' gradient is returned; those that
                the architecture lacks are ignored.

        Returns:
            The gradient with respect to the modules' parameters in column order, `[M, P']`.
        """


class Architecture(Protocol):
    """The actors and critics of M members.

    `inputs` are float32 `[M, B, *shape]`, one tensor per input shape of the interface.
    """

    parameters: Parameters

    def policy(self, inputs: Inputs, tape: Tape | None = None) -> Array:
        """Return the actor's output, `[M, B, K]`, and optionally store on the tape what `evaluate` can use again."""

    def value(self, inputs: Inputs) -> Array:
        """Return the critic's output, `[M, B]`."""

    def evaluate(self, inputs: Inputs, tape: Tape | None = None) -> tuple[Array, Array, Backward]:
        """Return the actor's output `[M, B, K]`, the critic's output `[M, B]`, and the backward pass from both.

        Shared layers are computed once. If `tape` is given, `policy` must have received it at each of the steps that
        `inputs` contains one after the other, with the same parameters.
        """

    def describe(self) -> list[tuple[str, str]]:
        """Return the layers as rows of (name, description), for display."""


Builder = Callable[[ArchitectureConfig, Interface, Sequence[torch.Generator], torch.device], Architecture]
ARCHITECTURES: Registry[Builder] = Registry("arch", ArchitectureConfig)
