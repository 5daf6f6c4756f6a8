"""One update of every optimizer from one batch, and its measurements."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from acexp.algorithm.population import Population
from acexp.architectures import Backward
from acexp.core.losses import Objective
from acexp.core.returns import normalized
from acexp.core.types import Batch, GroupNorms, UpdateStatistics
from acexp.optimizers import OptimizerGroup
from acexp.optimizers.clipping import Clip, module_norms


@torch.inference_mode()
def update(
    population: Population, batch: Batch, backward: Backward, progress: float, *, measure_trunk: bool = False
) -> UpdateStatistics:
    """Take one step with every optimizer.

    All gradients are taken before the first step, at the same parameters, also where two optimizers step one trunk.

    Args:
        population: The population to update.
        batch: The evaluated rollout.
        backward: The backward pass from the networks' outputs for this batch to their parameters.
        progress: Share of the budget spent before this rollout, for annealing.
        measure_trunk: Whether to compare the losses' gradients on a shared trunk, at the cost of a second computation.
    """
    objective = population.objective.at(progress)
    if objective.normalize_advantage:
        batch = batch._replace(advantages=normalized(batch.advantages, batch.weight, population.process_group))
    cosine = trunk_cosine(population, objective, batch, backward) if measure_trunk else None
    groups = population.groups
    output_gradients = objective.output_gradients(tuple(group.loss for group in groups), batch)
    gradients = [
        population.process_group.sum(backward(*output_gradients[group.loss], group.modules)) for group in groups
    ]
    idle = _idle(population, batch)
    with unchanged(_stepped(population), idle):
        norms = tuple(
            clip_and_step(group, gradient, population.clip, progress, population.learning)
            for group, gradient in zip(groups, gradients, strict=True)
        )
    return UpdateStatistics(batch, progress, norms, population.learning.clone(), cosine)


def _idle(population: Population, batch: Batch) -> Tensor:
    """Return which members have nothing to learn from, bool `[M]`: all slots of a rollout of one step can be resets."""
    if population.collector.n_steps > 1:
        return torch.zeros_like(population.learning)
    return population.process_group.sum(batch.valid.sum(1)) == 0.0


def _stepped(population: Population) -> list[Tensor]:
    """Return what a step of an optimizer changes, `[M, ...]` each, but for counts, which are equal for all members."""
    states = [tensor for group in population.groups for tensor in group.state().values()]
    return [population.architecture.parameters.flat, *(tensor for tensor in states if tensor.is_floating_point())]


@contextmanager
def unchanged(tensors: Sequence[Tensor], members: Tensor) -> Iterator[None]:
    """Let the block change tensors `[M, ...]`, but for the rows of some members, bool `[M]`.

    A gradient of 0 would not do: Adam and momentum would go on in the direction of earlier gradients.
    """
    if not members.any():
        yield
        return
    before = [(tensor, tensor[members].clone()) for tensor in tensors]
    yield
    for tensor, rows in before:
        tensor[members] = rows


def trunk_cosine(population: Population, objective: Objective, batch: Batch, backward: Backward) -> Tensor | None:
    """Return the cosine between the actor and critic losses' gradients on the trunk, `[M]`; None without a trunk.

    It is NaN where one of them is zero. Both losses count, regardless of which optimizer steps the trunk.
    """
    size = population.architecture.parameters.size("trunk")
    if not size:
        return None
    output_gradients = objective.output_gradients(("actor", "critic"), batch)
    # The trunk's columns lie between the actor's and the critic's.
    actor = population.process_group.sum(backward(*output_gradients["actor"], ("actor", "trunk"))[:, -size:])
    critic = population.process_group.sum(backward(*output_gradients["critic"], ("trunk", "critic"))[:, :size])
    lengths = torch.linalg.vector_norm(actor, dim=1) * torch.linalg.vector_norm(critic, dim=1)
    cosine: Tensor = (actor * critic).sum(1) / lengths
    return cosine


def clip_and_step(group: OptimizerGroup, gradient: Tensor, clip: Clip, progress: float, learning: Tensor) -> GroupNorms:
    """Clip a gradient, step with it, and return its norms before and after clipping, both measured.

    (torch's clip_grad_norm_ returns the norm before clipping, so its return value never shows the result of clipping.)

    No gradient that is not finite reaches the parameters: its member is removed from `learning`, bool `[M]`, in place,
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
