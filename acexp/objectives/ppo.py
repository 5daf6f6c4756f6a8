"""Proximal policy optimization (Schulman et al., 2017): several steps with each rollout, which clipping keeps small.

Before its first step the ratio of the policies is 1 everywhere, where the gradient of PPO's loss is that of A2C. With
one epoch of one minibatch it therefore is A2C, to the last bit (Huang et al., 2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from acexp.core.arrays import Array, library, like
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
    in_numpy: ClassVar[bool] = True

    def prepare(self, rollout: Batch) -> Batch:
        log_prob = self.distribution.log_prob(rollout.policy, rollout.actions)
        return rollout._replace(log_prob_before=log_prob, values_before=rollout.values)

    def actor_loss(self, batch: Batch) -> Array:
        ratio = self._ratio(batch)
        assert batch.log_prob_before is not None
        return -((batch.log_prob_before + (self._limited(ratio, batch) - 1.0)) * batch.advantages)

    def actor_gradient(self, batch: Batch) -> Array:
        ratio = self._ratio(batch)
        unclipped: Array = library(ratio).where(self._limited(ratio, batch) == ratio, ratio, 0.0)
        return -batch.advantages * unclipped

    def critic_loss(self, batch: Batch) -> Array:
        loss = Objective.critic_loss(self, batch)
        if not self.clip_values:
            return loss
        larger: Array = library(loss).maximum(loss, self._clipped_critic_loss(batch))
        return larger

    def critic_gradient(self, batch: Batch) -> Array:
        gradient = Objective.critic_gradient(self, batch)
        if not self.clip_values:
            return gradient
        is_free = Objective.critic_loss(self, batch) >= self._clipped_critic_loss(batch)
        followed: Array = library(gradient).where(is_free, gradient, 0.0)
        return followed

    def divergence(self, batch: Batch) -> Array:
        """Return `mean(r - 1 - log r)`, an estimate of the KL divergence that is never negative (Schulman, 2020)."""
        log_ratio = self._log_ratio(batch)
        return ((self._ratio(batch) - 1.0 - log_ratio) * batch.weight).sum(-1)

    def measures(self, batch: Batch) -> dict[str, Array]:
        is_outside = abs(self._ratio(batch) - 1.0) > self._clip_range(batch)
        return {"approx_kl": self.divergence(batch), "clip_fraction": (is_outside * batch.weight).sum(-1)}

    def _clip_range(self, batch: Batch) -> Array:
        """Return the clip range of each member, `[M, 1]`."""
        return like(batch.values, self.hyperparameters.clip_range)[0][..., None]

    def _ratio(self, batch: Batch) -> Array:
        log_ratio = self._log_ratio(batch)
        ratio: Array = library(log_ratio).exp(log_ratio)
        return ratio

    def _log_ratio(self, batch: Batch) -> Array:
        """Return `log r` in each slot, and 0 in those that do not count: what is learned there could overflow."""
        assert batch.log_prob_before is not None
        log_ratio = self.distribution.log_prob(batch.policy, batch.actions) - batch.log_prob_before
        counted: Array = library(log_ratio).where(batch.weight > 0.0, log_ratio, 0.0)
        return counted

    def _limited(self, ratio: Array, batch: Batch) -> Array:
        """Return the ratio that the advantage is multiplied by: clipped where a further change would be rewarded."""
        xp, clip_range = library(ratio), self._clip_range(batch)
        upper, lower = xp.minimum(ratio, 1.0 + clip_range), xp.maximum(ratio, 1.0 - clip_range)
        limited: Array = xp.where(batch.advantages >= 0.0, upper, lower)
        return limited

    def _clipped_critic_loss(self, batch: Batch) -> Array:
        """Return the loss of the values after clipping; of those within the range, their own loss to the last bit."""
        assert batch.values_before is not None
        xp, clip_range = library(batch.values), self._clip_range(batch)
        change = batch.values - batch.values_before
        near = xp.clip(batch.values, batch.values_before - clip_range, batch.values_before + clip_range)
        error = xp.where(abs(change) <= clip_range, batch.values, near) - batch.returns
        loss: Array = error * error
        return loss
