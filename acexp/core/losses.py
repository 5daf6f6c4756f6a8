"""The losses of advantage actor-critic (Mnih et al., 2016), for each member and over valid slots only.

Each member has its own loss, and only its own parameters follow that loss's gradient. The networks learn from the
gradients of the losses with respect to the networks' outputs, which are written out by hand; the losses themselves are
computed only when they are logged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor

from acexp.core.annealing import Schedule
from acexp.core.arrays import Array, like
from acexp.core.distributions import Distribution
from acexp.core.hyperparameters import Hyperparameters
from acexp.core.types import Batch


class Losses(NamedTuple):
    """The losses of each member and the entropy of its policy, as means over valid slots, `[..., M]` each.

    Attributes:
        actor: `-mean(log pi(a|s) * A)`.
        critic: `mean((V(s) - R)^2)`.
        entropy: `-entropy_coef * H`; minimizing it prevents the policy from becoming deterministic too early.
        mean_entropy: H, in nats.
    """

    actor: Array
    critic: Array
    entropy: Array
    mean_entropy: Array


class OutputGradients(NamedTuple):
    """The gradients of a loss with respect to the networks' outputs; None where it does not depend on an output.

    Attributes:
        policy: Gradient with respect to the policy's output, `[M, B, K]`.
        values: Gradient with respect to the values, `[M, B]`.
    """

    policy: Array | None
    values: Array | None


@dataclass(frozen=True, slots=True)
class Objective:
    """The losses to minimize: `joint` (actor + entropy + value_coef * critic), `actor` (with entropy) or `critic`.

    Attributes:
        distribution: The action distribution, which interprets the policy's output.
        hyperparameters: the members' coefficients.
        schedules: The schedules of coefficients that change over a run, by their names.
        normalize_advantage: Whether the advantages of a batch are normalized before they are learned from.
        epochs: How often an update learns from each slot of its rollout.
        minibatches: The number of parts into which a rollout is split at random in each epoch, with a step for each.
        target_kl: The `divergence` beyond which a member takes no further step of an update; None for no limit.
    """

    distribution: Distribution
    hyperparameters: Hyperparameters
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    normalize_advantage: bool = False
    epochs: int = 1
    minibatches: int = 1
    target_kl: float | None = None
    in_numpy: ClassVar[bool] = True

    @classmethod
    def of(cls, configs: Sequence[Any], distribution: Distribution, device: torch.device, **attributes: Any) -> Self:
        """Return the objective of M members, from their configs, which inherit from A2CConfig, and more attributes."""
        first = configs[0]
        return cls(
            distribution,
            Hyperparameters.of(configs, device),
            schedules={name: each for name, each in first.schedules().items() if each.kind != "none"},
            normalize_advantage=first.normalize_advantage,
            **attributes,
        )

    def at(self, progress: float | Tensor) -> Objective:
        """Return the objective at `progress`, the share of the budget spent; `[U, 1]` for U stacked batches."""
        if not self.schedules:
            return self
        initial = self.hyperparameters
        values = {name: schedule(getattr(initial, name), progress) for name, schedule in self.schedules.items()}
        return replace(self, hyperparameters=initial.replace(**values))

    def prepare(self, rollout: Batch) -> Batch:
        """Return the evaluated rollout with what the losses need to know of the networks that collected it."""
        return rollout

    def divergence(self, batch: Batch) -> Array:
        """Return how far the policy is from the one that collected the batch, `[..., M]`, for `target_kl`."""
        raise NotImplementedError("an objective with target_kl defines `divergence`")

    def measures(self, batch: Batch) -> dict[str, Array]:
        """Return what is logged as `algo/<name>` beside the losses, by name: `[..., M, B]` -> `[..., M]` each."""
        return {}

    def actor_loss(self, batch: Batch) -> Array:
        """Return the loss of the policy in each slot, without the entropy bonus: `[..., M, B]`."""
        return -(self.distribution.log_prob(batch.policy, batch.actions) * batch.advantages)

    def actor_gradient(self, batch: Batch) -> Array:
        """Return the gradient of `actor_loss` with respect to the log-probability of each action: `[M, B]`."""
        return -batch.advantages

    def critic_loss(self, batch: Batch) -> Array:
        """Return the loss of the value in each slot: `[..., M, B]`."""
        error = batch.values - batch.returns
        return error * error

    def critic_gradient(self, batch: Batch) -> Array:
        """Return the gradient of `critic_loss` with respect to the values: `[M, B]`."""
        return (batch.values - batch.returns) * 2.0

    def losses(self, batch: Batch) -> Losses:
        """Return the losses of one batch, or of several stacked batches: `[..., M, B]` -> `[..., M]`."""
        mean_entropy = (self.distribution.entropy(batch.policy) * batch.weight).sum(-1)
        return Losses(
            actor=(self.actor_loss(batch) * batch.weight).sum(-1),
            critic=(self.critic_loss(batch) * batch.weight).sum(-1),
            entropy=-like(batch.values, self.hyperparameters.entropy_coef)[0] * mean_entropy,
            mean_entropy=mean_entropy,
        )

    def total(self, name: str, losses: Losses) -> Array:
        """Return the sum of losses that `name` stands for, `joint`, `actor` or `critic`: `[..., M]`."""
        match name:
            case "joint":
                (value_coef,) = like(losses.critic, self.hyperparameters.value_coef)
                return losses.actor + losses.entropy + value_coef * losses.critic
            case "actor":
                return losses.actor + losses.entropy
        return losses.critic

    def output_gradients(self, names: tuple[str, ...], batch: Batch) -> dict[str, OutputGradients]:
        """Return the output gradients of each named loss. Advantages and returns are targets, without gradient."""
        coefficients = self.hyperparameters
        entropy_coef, value_coef = like(batch.values, coefficients.entropy_coef, coefficients.value_coef)
        grad_log_prob = self.actor_gradient(batch) * batch.weight
        grad_entropy = batch.weight * -entropy_coef[:, None]
        policy = self.distribution.gradient(batch.policy, batch.actions, grad_log_prob, grad_entropy)
        values = self.critic_gradient(batch) * batch.weight
        gradients = {}
        for name in names:
            weighted = values * value_coef[:, None] if name == "joint" else values
            gradients[name] = OutputGradients(
                policy=None if name == "critic" else policy, values=None if name == "actor" else weighted
            )
        return gradients
