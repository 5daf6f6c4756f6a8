"""The losses of advantage actor-critic, per member and over valid slots only (Mnih et al., 2016).

Every function maps `[M, B]` to `[M]`; `weight` comes from `statistics.mean_weights`, which makes their sums means. The
members' losses are later summed, never averaged: the gradient of a sum with respect to one member's parameters is that
member's own gradient, whoever else is in the population.
"""

from __future__ import annotations

from torch import Tensor


def policy_gradient_loss(log_prob: Tensor, advantages: Tensor, weight: Tensor) -> Tensor:
    """`-mean(log pi(a|s) * A)`; the advantages carry no gradient."""
    return -(log_prob * (advantages.detach() * weight)).sum(-1)


def entropy_loss(entropy: Tensor, entropy_coef: Tensor) -> Tensor:
    """`-entropy_coef * H`: minimizing it keeps the policy from collapsing. Both are `[M]`, H a mean already."""
    return -entropy_coef * entropy


def value_loss(values: Tensor, returns: Tensor, weight: Tensor) -> Tensor:
    """`mean((V(s) - R)^2)`; the returns carry no gradient."""
    return ((values - returns.detach()).square() * weight).sum(-1)
