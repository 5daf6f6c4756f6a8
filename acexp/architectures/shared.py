"""The architecture with one trunk that the actor and the critic share."""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from acexp.architectures.base import ARCHITECTURES, Backward, Interface
from acexp.architectures.layers import Gradients, columns
from acexp.architectures.networks import body, policy_head, value_head
from acexp.core.configs.architectures import ArchitectureConfig
from acexp.core.observations import Inputs
from acexp.core.parameters import Parameters
from acexp.core.tape import Tape


@ARCHITECTURES.register("shared")
class Shared:
    """One trunk with two heads: the actor and the critic read the same features."""

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
        features, trunk_backward = self._trunk.forward_with_backward(iter(self.parameters.of("trunk")), inputs, tape)
        output, policy_backward = self._policy.forward_with_backward(iter(self.parameters.of("actor")), features)
        value, value_backward = self._value.forward_with_backward(iter(self.parameters.of("critic")), features)

        def backward(policy: Tensor | None, values: Tensor | None, modules: Collection[str]) -> Tensor:
            grad_actor: Gradients = []
            grad_critic: Gradients = []
            grad_features: list[Tensor] = []
            if policy is not None:
                gradient, grad_actor = policy_backward(policy)
                grad_features.append(gradient)
            if values is not None:
                gradient, grad_critic = value_backward(values.unsqueeze(-1))
                grad_features.append(gradient)
            grad_trunk = trunk_backward(functools.reduce(torch.add, grad_features)) if "trunk" in modules else []
            return columns([*grad_actor, *grad_trunk, *grad_critic])

        return output, value.squeeze(-1), backward

    def _features(self, inputs: Inputs, tape: Tape | None = None) -> Tensor:
        return self._trunk(iter(self.parameters.of("trunk")), inputs, tape)

    def describe(self) -> list[tuple[str, str]]:
        heads = [("actor", self._policy.describe()), ("critic", self._value.describe())]
        rows = [("trunk", self._trunk.describe()), *heads]
        return [(f"{module}.{name}", text) for module, part in rows for name, text in part]
