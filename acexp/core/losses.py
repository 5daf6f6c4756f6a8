"""The losses of advantage actor-critic, per member and over valid slots only (Mnih et al., 2016).

Each member has a loss of its own, and only its own parameters follow its gradient. The networks learn from the losses'
gradients by what the networks put out, which are written out by hand; the losses themselves are for who reads the log,
and are computed when somebody does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from torch import Tensor

from acexp.core.annealing import annealed
from acexp.core.distributions import Distribution
from acexp.core.types import Batch, Hyperparameters


class Losses(NamedTuple):
    """Means over valid slots, `[..., M]` each.

    Attributes:
        actor: `-mean(log pi(a|s) * A)`.
        critic: `mean((V(s) - R)^2)`.
        entropy: `-entropy_coef * H`: minimizing it keeps the policy from collapsing.
        mean_entropy: H, in nats.
    """

    actor: Tensor
    critic: Tensor
    entropy: Tensor
    mean_entropy: Tensor


class OutputGradients(NamedTuple):
    """The gradients of a loss by what the networks put out; None where it does not depend on it.

    Attributes:
        policy: by the policy's parameters, `[M, B, K]`.
        values: by the values, `[M, B]`.
    """

    policy: Tensor | None
    values: Tensor | None


@dataclass(frozen=True, slots=True)
class Objective:
    """What each member minimizes: `joint` (actor + entropy + value_coef * critic), `actor` (with entropy) or `critic`.

    Attributes:
        distribution: what the policy's parameters mean.
        hyperparameters: the members' coefficients.
        entropy_anneal: one of ANNEALINGS.
    """

    distribution: Distribution
    hyperparameters: Hyperparameters
    entropy_anneal: str = "none"

    def at(self, progress: float | Tensor) -> Objective:
        """The objective at a share of the budget, or at each of many: `[U, 1]`, for batches that were stacked."""
        entropy_coef = annealed(self.hyperparameters.entropy_coef, self.entropy_anneal, progress)
        return replace(self, hyperparameters=self.hyperparameters._replace(entropy_coef=entropy_coef))

    def losses(self, batch: Batch) -> Losses:
        """Of a batch, or of many that were stacked: `[..., M, B]` -> `[..., M]`."""
        log_prob = self.distribution.log_prob(batch.policy, batch.actions)
        mean_entropy = (self.distribution.entropy(batch.policy) * batch.weight).sum(-1)
        return Losses(
            actor=-(log_prob * batch.advantages * batch.weight).sum(-1),
            critic=((batch.values - batch.returns).square() * batch.weight).sum(-1),
            entropy=-self.hyperparameters.entropy_coef * mean_entropy,
            mean_entropy=mean_entropy,
        )

    def total(self, name: str, losses: Losses) -> Tensor:
        """The sum that `joint`, `actor` or `critic` stands for, `[..., M]`."""
        match name:
            case "joint":
                return losses.actor + losses.entropy + self.hyperparameters.value_coef * losses.critic
            case "actor":
                return losses.actor + losses.entropy
        return losses.critic

    def output_gradients(self, names: tuple[str, ...], batch: Batch) -> dict[str, OutputGradients]:
        """Those of each of the named losses. Advantages and returns are targets: nothing flows through them."""
        grad_log_prob = (batch.advantages * batch.weight).neg_()
        grad_entropy = batch.weight * -self.hyperparameters.entropy_coef.unsqueeze(-1)
        policy = self.distribution.gradient(batch.policy, batch.actions, grad_log_prob, grad_entropy)
        values = (batch.values - batch.returns).mul_(batch.weight).mul_(2.0)
        gradients = {}
        for name in names:
            weighted = values * self.hyperparameters.value_coef.unsqueeze(-1) if name == "joint" else values
            gradients[name] = OutputGradients(
                policy=None if name == "critic" else policy, values=None if name == "actor" else weighted
            )
        return gradients
