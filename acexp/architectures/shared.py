"""One trunk, two heads."""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from acexp.architectures.base import ARCHITECTURES, ArchitectureConfig, Backward, Interface
from acexp.architectures.layers import Gradients, columns
from acexp.architectures.networks import body, policy_head, value_head
from acexp.core.observations import Inputs
from acexp.core.parameters import Parameters
from acexp.core.tape import Tape


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

    def policy(self, inputs: Inputs, tape: Tape | None = None) -> Tensor:
        return self._policy(iter(self.parameters.of("actor")), self._features(inputs, tape))

    def value(self, inputs: Inputs) -> Tensor:
        return self._value(iter(self.parameters.of("critic")), self._features(inputs)).squeeze(-1)

    def evaluate(self, inputs: Inputs, tape: Tape | None = None) -> tuple[Tensor, Tensor, Backward]:
        features, back_trunk = self._trunk.forward_with_backward(iter(self.parameters.of("trunk")), inputs, tape)
        output, back_policy = self._policy.forward_with_backward(iter(self.parameters.of("actor")), features)
        value, back_value = self._value.forward_with_backward(iter(self.parameters.of("critic")), features)

        def back(policy: Tensor | None, values: Tensor | None, modules: Collection[str]) -> Tensor:
            by_actor: Gradients = []
            by_critic: Gradients = []
            by_features: list[Tensor] = []
            if policy is not None:
                gradient, by_actor = back_policy(policy)
                by_features.append(gradient)
            if values is not None:
                gradient, by_critic = back_value(values.unsqueeze(-1))
                by_features.append(gradient)
            by_trunk = back_trunk(functools.reduce(torch.add, by_features)) if "trunk" in modules else []
            return columns([*by_actor, *by_trunk, *by_critic])

        return output, value.squeeze(-1), back

    def _features(self, inputs: Inputs, tape: Tape | None = None) -> Tensor:
        return self._trunk(iter(self.parameters.of("trunk")), inputs, tape)

    def describe(self) -> list[tuple[str, str]]:
        heads = [("actor", self._policy.describe()), ("critic", self._value.describe())]
        rows = [("trunk", self._trunk.describe()), *heads]
        return [(f"{module}.{name}", text) for module, part in rows for name, text in part]
