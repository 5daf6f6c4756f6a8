"""The architecture with one network for the actor and another for the critic."""

from __future__ import annotations

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


@ARCHITECTURES.register("separate")
class Separate:
    """Separate networks for the actor and the critic, without shared parameters."""

    def __init__(
        self,
        config: ArchitectureConfig,
        interface: Interface,
        generators: Sequence[torch.Generator],
        device: torch.device,
    ) -> None:
        self._actor, self._critic = body(config.side("actor"), interface), body(config.side("critic"), interface)
        self._policy = policy_head(config, interface, self._actor.n_out)
        self._value = value_head(config, self._critic.n_out)
        specs = {
            "actor": self._actor.specs() + self._policy.specs(),
            "critic": self._critic.specs() + self._value.specs(),
        }
        self.parameters = Parameters(specs, generators, device)

    @property
    def in_numpy(self) -> bool:
        """Whether its formulas can compute with NumPy arrays as well."""
        return self._actor.in_numpy and self._critic.in_numpy

    def policy(self, inputs: Inputs, tape: Tape | None = None) -> Array:
        weights = self.parameters.of("actor", like=inputs[0])
        return self._policy(weights, self._actor(weights, inputs, tape))

    def value(self, inputs: Inputs) -> Array:
        weights = self.parameters.of("critic", like=inputs[0])
        return self._value(weights, self._critic(weights, inputs)).squeeze(-1)

    def evaluate(self, inputs: Inputs, tape: Tape | None = None) -> tuple[Array, Array, Backward]:
        actor, critic = self.parameters.of("actor", like=inputs[0]), self.parameters.of("critic", like=inputs[0])
        actor_features, actor_backward = self._actor.forward_with_backward(actor, inputs, tape)
        output, policy_backward = self._policy.forward_with_backward(actor, actor_features)
        critic_features, critic_backward = self._critic.forward_with_backward(critic, inputs)
        value, value_backward = self._value.forward_with_backward(critic, critic_features)

        def backward(policy: Array | None, values: Array | None, modules: Collection[str]) -> Array:
            gradients: Gradients = []
            if policy is not None and "actor" in modules:
                grad_features, grad_head = policy_backward(policy)
                gradients += [*actor_backward(grad_features), *grad_head]
            if values is not None and "critic" in modules:
                grad_features, grad_head = value_backward(values[..., None])
                gradients += [*critic_backward(grad_features), *grad_head]
            return columns(gradients)

        return output, value.squeeze(-1), backward

    def describe(self) -> list[tuple[str, str]]:
        actor = self._actor.describe() + self._policy.describe()
        critic = self._critic.describe() + self._value.describe()
        return [(f"actor.{name}", text) for name, text in actor] + [(f"critic.{name}", text) for name, text in critic]
