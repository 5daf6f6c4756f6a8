"""The architecture with one trunk that the actor and the critic share."""

from __future__ import annotations

import functools
import operator
from collections.abc import Collection, Sequence

import torch

from acexp.architectures.base import ARCHITECTURES, Backward, Interface
from acexp.architectures.layers import Gradients, columns
from acexp.architectures.networks import body, policy_head, value_head
from acexp.core.arrays import Array
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

    @property
    def in_numpy(self) -> bool:
        """Whether its formulas can compute with NumPy arrays as well."""
        return self._trunk.in_numpy

    def policy(self, inputs: Inputs, tape: Tape | None = None) -> Array:
        return self._policy(self.parameters.of("actor", like=inputs[0]), self._features(inputs, tape))

    def value(self, inputs: Inputs) -> Array:
        return self._value(self.parameters.of("critic", like=inputs[0]), self._features(inputs)).squeeze(-1)

    def evaluate(self, inputs: Inputs, tape: Tape | None = None) -> tuple[Array, Array, Backward]:
        trunk, actor, critic = (self.parameters.of(module, like=inputs[0]) for module in ("trunk", "actor", "critic"))
        features, trunk_backward = self._trunk.forward_with_backward(trunk, inputs, tape)
        output, policy_backward = self._policy.forward_with_backward(actor, features)
        value, value_backward = self._value.forward_with_backward(critic, features)

        def backward(policy: Array | None, values: Array | None, modules: Collection[str]) -> Array:
            grad_actor: Gradients = []
            grad_critic: Gradients = []
            grad_features: list[Array] = []
            if policy is not None:
                gradient, grad_actor = policy_backward(policy)
                grad_features.append(gradient)
            if values is not None:
                gradient, grad_critic = value_backward(values[..., None])
                grad_features.append(gradient)
            grad_trunk = trunk_backward(functools.reduce(operator.add, grad_features)) if "trunk" in modules else []
            return columns([*grad_actor, *grad_trunk, *grad_critic])

        return output, value.squeeze(-1), backward

    def _features(self, inputs: Inputs, tape: Tape | None = None) -> Array:
        return self._trunk(self.parameters.of("trunk", like=inputs[0]), inputs, tape)

    def describe(self) -> list[tuple[str, str]]:
        heads = [("actor", self._policy.describe()), ("critic", self._value.describe())]
        rows = [("trunk", self._trunk.describe()), *heads]
        return [(f"{module}.{name}", text) for module, part in rows for name, text in part]
