"""One trunk, two heads."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from acexp.architectures.base import ARCHITECTURES, ArchitectureConfig, Interface
from acexp.architectures.layers import body, policy_head, value_head
from acexp.core.observations import Inputs
from acexp.core.parameters import Parameters


@ARCHITECTURES.register("shared")
class Shared:
    """One trunk with two heads: what the actor and the critic see is the same."""

    def __init__(
        self,
        config: ArchitectureConfig,
        interface: Interface,
        generators: Sequence[torch.Generator],
        device: torch.device,
    ) -> None:
        self._trunk = body(config, interface)
        self._policy = policy_head(config, interface, self._trunk.n_out)
        self._value = value_head(config, self._trunk.n_out)
        specs = {"trunk": self._trunk.specs(), "actor": self._policy.specs(), "critic": self._value.specs()}
        self.parameters = Parameters(specs, generators, device)

    def policy(self, inputs: Inputs) -> Tensor:
        return self._policy(iter(self.parameters.of("actor")), self._features(inputs))

    def value(self, inputs: Inputs) -> Tensor:
        return self._value(iter(self.parameters.of("critic")), self._features(inputs)).squeeze(-1)

    def policy_and_value(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        features = self._features(inputs)
        policy = self._policy(iter(self.parameters.of("actor")), features)
        return policy, self._value(iter(self.parameters.of("critic")), features).squeeze(-1)

    def _features(self, inputs: Inputs) -> Tensor:
        return self._trunk(iter(self.parameters.of("trunk")), inputs)

    def describe(self) -> list[tuple[str, str]]:
        heads = [("actor", self._policy.describe()), ("critic", self._value.describe())]
        rows = [("trunk", self._trunk.describe()), *heads]
        return [(f"{module}.{name}", text) for module, part in rows for name, text in part]
