"""The losses of advantage actor-critic, per member and over valid slots only (Mnih et al., 2016).

Every function maps `[M, B]` to `[M]`. The members' losses are later summed, never averaged: the gradient of a sum with
respect to one member's parameters is that member's own gradient, whoever else is in the population.
"""

from __future__ import annotations

from torch import Tensor

from acexp.core.statistics import masked_mean


def policy_gradient_loss(log_prob: Tensor, advantages: Tensor, valid: Tensor) -> Tensor:
    """`-mean(log pi(a|s) * A)`; the advantages carry no gradient."""
    return -masked_mean(log_prob * advantages.detach(), valid)


def entropy_loss(entropy: Tensor, entropy_coef: Tensor, valid: Tensor) -> Tensor:
    """`-entropy_coef * mean(H)`: minimizing it keeps the policy from collapsing. `entropy_coef` is `[M]`."""
    return -entropy_coef * masked_mean(entropy, valid)


def value_loss(values: Tensor, returns: Tensor, valid: Tensor) -> Tensor:
    """`mean((V(s) - R)^2)`; the returns carry no gradient."""
    return masked_mean((values - returns.detach()).square(), valid)
