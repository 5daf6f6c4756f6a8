"""Proximal policy optimization (Schulman et al., 2017): several steps with each rollout, which clipping keeps small.

Before its first step the ratio of the policies is 1 everywhere, where the gradient of PPO's loss is that of A2C. With
one epoch of one minibatch it therefore is A2C, to the last bit (Huang et al., 2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from acexp.core.configs.objectives import A2CConfig, PPOConfig
from acexp.core.distributions import Distribution
from acexp.core.losses import Objective
from acexp.core.types import Batch
from acexp.objectives.base import OBJECTIVES


@OBJECTIVES.register("ppo", PPOConfig)
def ppo(configs: Sequence[A2CConfig], distribution: Distribution, device: torch.device) -> Objective:
    """PPO: several epochs of minibatches with each rollout, and a clipped policy gradient."""
    first = configs[0]
    assert isinstance(first, PPOConfig)
    return ClippedObjective.of(
        configs,
        distribution,
        device,
        epochs=first.epochs,
        minibatches=first.minibatches,
        target_kl=first.target_kl,
        clip_values=first.clip_values,
    )


@dataclass(frozen=True, slots=True)
class ClippedObjective(Objective):
    """The losses of PPO. With the ratio `r = pi(a|s) / pi_before(a|s)`, the actor's is `-min(r A, clip(r) A)`.

    It is given with a constant added, `-A (log pi_before(a|s) - 1)`, so that it equals A2C's, `-A log pi(a|s)`, before
    the first step. The constant has no gradient.

    Attributes:
        clip_values: Whether the critic's loss is that of the worse of the value and the value near the one before.
    """

    clip_values: bool = False

    def prepare(self, rollout: Batch) -> Batch:
        log_prob = self.distribution.log_prob(rollout.policy, rollout.actions)
        return rollout._replace(log_prob_before=log_prob, values_before=rollout.values)

    def actor_loss(self, batch: Batch) -> Tensor:
        ratio = self._log_ratio(batch).exp()
        assert batch.log_prob_before is not None
        return -((batch.log_prob_before + (self._limited(ratio, batch) - 1.0)) * batch.advantages)

    def actor_gradient(self, batch: Batch) -> Tensor:
        ratio = self._log_ratio(batch).exp()
        return -batch.advantages * torch.where(self._limited(ratio, batch) == ratio, ratio, 0.0)

    def critic_loss(self, batch: Batch) -> Tensor:
        loss = Objective.critic_loss(self, batch)
        return torch.maximum(loss, self._clipped_critic_loss(batch)) if self.clip_values else loss

    def critic_gradient(self, batch: Batch) -> Tensor:
        gradient = Objective.critic_gradient(self, batch)
        if not self.clip_values:
            return gradient
        is_free = Objective.critic_loss(self, batch) >= self._clipped_critic_loss(batch)
        return torch.where(is_free, gradient, 0.0)

    def divergence(self, batch: Batch) -> Tensor:
        """Return `mean(r - 1 - log r)`, an estimate of the KL divergence that is never negative (Schulman, 2020)."""
        log_ratio = self._log_ratio(batch)
        return ((log_ratio.exp() - 1.0 - log_ratio) * batch.weight).sum(-1)

    def measures(self, batch: Batch) -> dict[str, Tensor]:
        is_outside = (self._log_ratio(batch).exp() - 1.0).abs() > self._clip_range
        return {"approx_kl": self.divergence(batch), "clip_fraction": (is_outside * batch.weight).sum(-1)}

    @property
    def _clip_range(self) -> Tensor:
        return self.hyperparameters.clip_range.unsqueeze(-1)

    def _log_ratio(self, batch: Batch) -> Tensor:
        """Return `log r` in each slot, and 0 in those that do not count: what is learned there could overflow."""
        assert batch.log_prob_before is not None
        log_ratio = self.distribution.log_prob(batch.policy, batch.actions) - batch.log_prob_before
        return torch.where(batch.weight > 0.0, log_ratio, 0.0)

    def _limited(self, ratio: Tensor, batch: Batch) -> Tensor:
        """Return the ratio that the advantage is multiplied by: clipped where a further change would be rewarded."""
        upper, lower = torch.minimum(ratio, 1.0 + self._clip_range), torch.maximum(ratio, 1.0 - self._clip_range)
        return torch.where(batch.advantages >= 0.0, upper, lower)

    def _clipped_critic_loss(self, batch: Batch) -> Tensor:
        """Return the loss of the values after clipping; of those within the range, their own loss to the last bit."""
        assert batch.values_before is not None
        change = batch.values - batch.values_before
        low, high = batch.values_before - self._clip_range, batch.values_before + self._clip_range
        clipped = torch.where(change.abs() <= self._clip_range, batch.values, torch.clamp(batch.values, low, high))
        return (clipped - batch.returns).square()
