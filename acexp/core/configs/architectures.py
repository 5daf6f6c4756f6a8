"""The settings of architectures."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Self

from acexp.core.errors import UserError
from acexp.core.settings import setting

ACTIVATIONS = ("tanh", "relu", "elu", "gelu", "silu")
"""The activations of hidden layers that read vectors."""
INITIALIZATIONS = ("orthogonal", "torch")
LARGEST_LOG_STD = 80
"""The largest magnitude of a log standard deviation; the largest float32 is about exp(88)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvolutionConfig:
    """The convolutions that read an image; the defaults are those of Mnih et al. (2015).

    Attributes:
        channels, kernel_sizes, strides: Output channels, kernel size and stride of each layer.
        features: Width of the linear layer that follows the convolutions.
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
                "Sizes of convolutions must be positive.",
                value=f"{self.channels}, {self.kernel_sizes}, {self.strides}, {self.features}",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SideConfig:
    """What the network of one side, the actor or the critic, has of its own; None takes the setting of the whole.

    Attributes:
        hidden_sizes, activation, layer_norm: As in ArchitectureConfig.
    """

    hidden_sizes: list[int] | None = None
    activation: str | None = None
    layer_norm: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchitectureConfig:
    """The settings of every architecture. The config of your own architecture may inherit from it and add fields.

    Attributes:
        name: Name of the architecture in ARCHITECTURES.
        hidden_sizes: Widths of the hidden layers that read vectors; empty for a linear network.
        activation: One of ACTIVATIONS, applied after each hidden layer. Convolutions use relu.
        init: Initialization: `orthogonal` (gain sqrt 2, value head 1) or `torch`, PyTorch's default.
        log_std_init: The initial log standard deviation of a Gaussian policy, squashed or not.
        cnn: The convolutions that read images.
        layer_norm: Whether hidden layers that read vectors are normalized before their activation (Ba et al., 2016).
        policy_gain: Gain of the policy head with `orthogonal` initialization.
        actor, critic: What each of two separate networks has in place of the settings above.
    """

    name: str
    hidden_sizes: list[int] = field(default_factory=lambda: [64, 64])
    activation: str = "tanh"
    init: str = "orthogonal"
    log_std_init: float = 0.0
    cnn: ConvolutionConfig = field(default_factory=ConvolutionConfig)
    layer_norm: bool = setting(False, since=2)
    policy_gain: float = setting(0.01, since=2)
    actor: SideConfig = setting(factory=SideConfig, since=2)
    critic: SideConfig = setting(factory=SideConfig, since=2)

    def __post_init__(self) -> None:
        for whose, sizes in (
            ("", self.hidden_sizes),
            ("actor.", self.actor.hidden_sizes),
            ("critic.", self.critic.hidden_sizes),
        ):
            if any(size < 1 for size in sizes or ()):
                raise UserError(
                    "Hidden layers must have at least one unit.", key=f"{whose}hidden_sizes", value=str(sizes)
                )
        if not abs(self.log_std_init) <= LARGEST_LOG_STD:
            raise UserError(
                f"A log standard deviation must lie between -{LARGEST_LOG_STD} and {LARGEST_LOG_STD}.",
                key="log_std_init",
                value=self.log_std_init,
            )
        if not 0.0 <= self.policy_gain < math.inf:
            raise UserError("A gain must be finite and not negative.", key="policy_gain", value=self.policy_gain)
        for key, value, choices in (
            ("activation", self.activation, ACTIVATIONS),
            ("actor.activation", self.actor.activation, (None, *ACTIVATIONS)),
            ("critic.activation", self.critic.activation, (None, *ACTIVATIONS)),
            ("init", self.init, INITIALIZATIONS),
        ):
            if value not in choices:
                raise UserError(
                    f"There is no {key.rpartition('.')[2]} called {value!r}.",
                    key=key,
                    value=value,
                    choices=tuple(choice for choice in choices if choice is not None),
                )

    def side(self, name: str) -> Self:
        """Return the settings of the network of one side, `actor` or `critic`, where each has a network of its own."""
        own = asdict(self.actor if name == "actor" else self.critic)
        return replace(self, **{key: value for key, value in own.items() if value is not None})
