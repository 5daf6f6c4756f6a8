"""Two networks that share nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from acexp.architectures.base import ARCHITECTURES, ArchitectureConfig, Interface
from acexp.architectures.layers import body, policy_head, value_head
from acexp.core.observations import Inputs
from acexp.core.parameters import Parameters


@ARCHITECTURES.register("separate")
class Separate:
    """Actor and critic apart: two networks, no shared parameter."""

    def __init__(
        self,
        config: ArchitectureConfig,
        interface: Interface,
        generators: Sequence[torch.Generator],
        device: torch.device,
    ) -> None:
        self._body = body(config, interface)
        self._policy = policy_head(config, interface, self._body.n_out)
        self._value = value_head(config, self._body.n_out)
        specs = {
            "actor": self._body.specs() + self._policy.specs(),
            "critic": self._body.specs() + self._value.specs(),
        }
        self.parameters = Parameters(specs, generators, device)

    def policy(self, inputs: Inputs) -> Tensor:
        weights = iter(self.parameters.of("actor"))
        return self._policy(weights, self._body(weights, inputs))

    def value(self, inputs: Inputs) -> Tensor:
        weights = iter(self.parameters.of("critic"))
        return self._value(weights, self._body(weights, inputs)).squeeze(-1)

    def policy_and_value(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        return self.policy(inputs), self.value(inputs)

    def describe(self) -> list[tuple[str, str]]:
        actor = self._body.describe() + self._policy.describe()
        critic = self._body.describe() + self._value.describe()
        return [(f"actor.{name}", text) for name, text in actor] + [(f"critic.{name}", text) for name, text in critic]
