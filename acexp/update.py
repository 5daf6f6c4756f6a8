"""Layer 2: one update of every optimizer from one batch, and what it measured."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from acexp.clipping import Clip, module_norms
from acexp.core.losses import entropy_loss, policy_gradient_loss, value_loss
from acexp.core.types import Batch, CriticFit, GroupNorms, UpdateStatistics
from acexp.optimizers import OptimizerGroup
from acexp.population import Population


def update(population: Population, batch: Batch, progress: float) -> UpdateStatistics:
    """Take one step with every optimizer.

    All gradients are taken before the first step, at the same parameters, also where two optimizers step one trunk.

    Args:
        population: whose optimizers follow which losses.
        batch: the evaluated rollout.
        progress: share of the budget spent before this rollout, for annealing.
    """
    distribution, hyperparameters, groups = population.distribution, population.hyperparameters, population.groups
    log_prob = distribution.log_prob(batch.policy, batch.actions)
    entropy = (distribution.entropy(batch.policy) * batch.weight).sum(-1)
    actor_loss = policy_gradient_loss(log_prob, batch.advantages, batch.weight)
    entropy_term = entropy_loss(entropy, hyperparameters.entropy_coef)
    critic_loss = value_loss(batch.values, batch.returns, batch.weight)
    losses = {
        "joint": actor_loss + entropy_term + hyperparameters.value_coef * critic_loss,
        "actor": actor_loss + entropy_term,
        "critic": critic_loss,
    }

    last = len(groups) - 1
    gradients = [_gradient(losses[group.loss], group, keep_graph=i < last) for i, group in enumerate(groups)]
    norms = tuple(
        clip_and_step(group, gradient, population.clip, progress, population.learning)
        for group, gradient in zip(groups, gradients, strict=True)
    )
    with torch.no_grad():
        deviation = distribution.standard_deviation(batch.policy)
        return UpdateStatistics(
            actor_loss=actor_loss.detach(),
            critic_loss=critic_loss.detach(),
            entropy_loss=entropy_term.detach(),
            total_loss=functools.reduce(torch.add, [losses[group.loss].detach() for group in groups]),
            entropy=entropy.detach(),
            standard_deviation=None if deviation is None else (deviation * batch.weight).sum(-1),
            fit=CriticFit(batch.values.detach(), batch.returns, batch.valid),
            norms=norms,
            learning=population.learning.clone(),
        )


def _gradient(loss: Tensor, group: OptimizerGroup, *, keep_graph: bool) -> Tensor:
    """The gradient of each member's loss by its own parameters: `[M]` -> `[M, P']`.

    The members' losses are summed: a mean would divide every member's gradient by M.
    """
    parts = torch.autograd.grad(loss.sum(), group.tensors, retain_graph=keep_graph, materialize_grads=True)
    return torch.cat([part.flatten(1) for part in parts], 1)


@torch.no_grad()
def clip_and_step(group: OptimizerGroup, gradient: Tensor, clip: Clip, progress: float, learning: Tensor) -> GroupNorms:
    """Clip a gradient, step with it, and return its norms from before and after clipping, both measured.

    (torch's clip_grad_norm_ returns the norm from before, so its return value never tells what clipping left.)

    Nothing that is not finite reaches the parameters: such a member is taken out of `learning`, bool `[M]`, in place,
    and takes no step, now or later.
    """
    before = module_norms(gradient, group.segments)
    learning &= before.isfinite().all(1)
    learning_rate = group.learning_rate(progress)
    if not learning.all():
        gradient, before = (torch.where(learning.unsqueeze(1), x, 0.0) for x in (gradient, before))
        learning_rate = torch.where(learning.unsqueeze(1), learning_rate, 0.0)
    clipped_gradient, clipped = clip(gradient, group.segments, before)
    after = module_norms(clipped_gradient, group.segments)
    group.step(clipped_gradient, learning_rate)
    return GroupNorms(group.loss, group.modules, before, after, clipped, learning_rate.squeeze(1))
