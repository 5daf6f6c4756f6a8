"""Layer 2: one update of every optimizer from one batch, and what it measured."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from acexp.algorithm.population import Population
from acexp.architectures import Backward
from acexp.core.losses import Objective
from acexp.core.types import Batch, GroupNorms, UpdateStatistics
from acexp.optimizers import OptimizerGroup
from acexp.optimizers.clipping import Clip, module_norms


@torch.inference_mode()
def update(
    population: Population, batch: Batch, back: Backward, progress: float, *, measure_trunk: bool = False
) -> UpdateStatistics:
    """Take one step with every optimizer.

    All gradients are taken before the first step, at the same parameters, also where two optimizers step one trunk.

    Args:
        population: whose optimizers follow which losses.
        batch: the evaluated rollout.
        back: from the networks' outputs for this batch to their parameters.
        progress: share of the budget spent before this rollout, for annealing.
        measure_trunk: whether to spend what it takes to compare the losses' gradients on a shared trunk.
    """
    objective = population.objective.at(progress)
    cosine = trunk_cosine(population, objective, batch, back) if measure_trunk else None
    groups = population.groups
    by_outputs = objective.output_gradients(tuple(group.loss for group in groups), batch)
    gradients = [population.process_group.sum(back(*by_outputs[group.loss], group.modules)) for group in groups]
    norms = tuple(
        clip_and_step(group, gradient, population.clip, progress, population.learning)
        for group, gradient in zip(groups, gradients, strict=True)
    )
    return UpdateStatistics(batch, progress, norms, population.learning.clone(), cosine)


def trunk_cosine(population: Population, objective: Objective, batch: Batch, back: Backward) -> Tensor | None:
    """The cosine between the actor loss's and the critic loss's gradient on the trunk, `[M]`; None without a trunk.

    NaN where one of them is zero. It is that of the losses, whoever steps the trunk.
    """
    size = population.architecture.parameters.size("trunk")
    if not size:
        return None
    by_outputs = objective.output_gradients(("actor", "critic"), batch)
    # The trunk's columns lie between the actor's and the critic's.
    actor = population.process_group.sum(back(*by_outputs["actor"], ("actor", "trunk"))[:, -size:])
    critic = population.process_group.sum(back(*by_outputs["critic"], ("trunk", "critic"))[:, :size])
    lengths = torch.linalg.vector_norm(actor, dim=1) * torch.linalg.vector_norm(critic, dim=1)
    cosine: Tensor = (actor * critic).sum(1) / lengths
    return cosine


def clip_and_step(group: OptimizerGroup, gradient: Tensor, clip: Clip, progress: float, learning: Tensor) -> GroupNorms:
    """Clip a gradient, step with it, and return its norms from before and after clipping, both measured.

    (torch's clip_grad_norm_ returns the norm from before, so its return value never tells what clipping left.)

    Nothing that is not finite reaches the parameters: such a member is taken out of `learning`, bool `[M]`, in place,
    and takes no step, now or later.
    """
    before = module_norms(gradient, group.segments)
    learning &= before.sum(1) < math.inf
    learning_rate = group.learning_rate(progress)
    finite = before
    if not learning.all():
        gradient, finite = (torch.where(learning.unsqueeze(1), x, 0.0) for x in (gradient, before))
        learning_rate = torch.where(learning.unsqueeze(1), learning_rate, 0.0)
    clipped_gradient, clipped = clip(gradient, group.segments, finite)
    after = module_norms(clipped_gradient, group.segments)
    group.step(clipped_gradient, learning_rate)
    return GroupNorms(group.loss, group.modules, before, after, clipped, learning_rate.squeeze(1))
