"""One update from one rollout: the steps of every optimizer, and their measurements."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import torch
from torch import Tensor

from acexp.algorithm.estimate import Evaluation
from acexp.algorithm.minibatches import minibatches, without
from acexp.algorithm.population import Population
from acexp.architectures import Backward
from acexp.core.arrays import Array, as_tensor, length, library, like
from acexp.core.losses import Objective
from acexp.core.returns import normalized
from acexp.core.types import Batch, GroupNorms, UpdateStatistics
from acexp.optimizers import OptimizerGroup
from acexp.optimizers.clipping import Clip, module_norms


@torch.inference_mode()
@np.errstate(all="ignore")  # a gradient that is not finite ends its member
def update(
    population: Population, rollout: Batch, evaluation: Evaluation, progress: float, *, measure_trunk: bool = False
) -> list[UpdateStatistics]:
    """Take the steps of one update, with every optimizer; return the measurements of each.

    Args:
        population: The population to update.
        rollout: The evaluated rollout.
        evaluation: Its evaluation by the networks that collected it.
        progress: Share of the budget spent before this rollout, for annealing.
        measure_trunk: Whether to compare the losses' gradients on a shared trunk, at the cost of a second computation;
            they are those of the first step.
    """
    objective, process_group = population.objective.at(progress), population.process_group
    stopped = torch.zeros_like(population.learning)
    statistics: list[UpdateStatistics] = []
    for batch, backward in minibatches(population, objective.prepare(rollout), evaluation):
        if objective.target_kl is not None and statistics:
            # Not left, though all may have stopped: each member draws as many numbers, and counts as many steps, as it
            # would in any other population.
            stopped |= as_tensor(process_group.sum(objective.divergence(batch)) > objective.target_kl)
            batch = without(batch, stopped)
        if objective.normalize_advantage:
            batch = batch._replace(advantages=normalized(batch.advantages, batch.weight, process_group))
        cosine = trunk_cosine(population, objective, batch, backward) if measure_trunk and not statistics else None
        norms = _step(population, objective, batch, backward, progress)
        statistics.append(UpdateStatistics(batch, progress, norms, population.learning.clone(), cosine))
    is_one_step = objective.epochs * objective.minibatches == 1
    statistics[0] = statistics[0]._replace(rollout=statistics[0].batch if is_one_step else rollout)
    return statistics


def _step(
    population: Population, objective: Objective, batch: Batch, backward: Backward, progress: float
) -> tuple[GroupNorms, ...]:
    """Take one step with every optimizer, and return the norms of their gradients.

    All gradients are taken before the first step, at the same parameters, also where two optimizers step one trunk.
    """
    groups = population.groups
    output_gradients = objective.output_gradients(tuple(group.loss for group in groups), batch)
    gradients = [
        population.process_group.sum(backward(*output_gradients[group.loss], group.modules)) for group in groups
    ]
    with _idle_unchanged(population, batch):
        return tuple(
            clip_and_step(group, gradient, population.clip, progress, population.learning)
            for group, gradient in zip(groups, gradients, strict=True)
        )


def _idle_unchanged(population: Population, batch: Batch) -> AbstractContextManager[None]:
    """Leave members without anything to learn from unchanged: all slots of a batch can be resets.

    No two steps of an environment in a row are resets, so this cannot be if the batch is a rollout of several steps.
    """
    objective = population.objective
    if population.collector.n_steps > 1 and objective.minibatches == 1 and objective.target_kl is None:
        return nullcontext()
    return unchanged(_stepped(population), as_tensor(population.process_group.sum(batch.valid.sum(1)) == 0.0))


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
    return as_tensor((actor * critic).sum(1) / (length(actor) * length(critic)))


def clip_and_step(group: OptimizerGroup, gradient: Array, clip: Clip, progress: float, learning: Tensor) -> GroupNorms:
    """Clip a gradient, step with it, and return its norms before and after clipping, both measured.

    (torch's clip_grad_norm_ returns the norm before clipping, so its return value never shows the result of clipping.)

    No gradient that is not finite reaches the parameters: its member is removed from `learning`, bool `[M]`, in place,
    and takes no step, now or later.
    """
    before = module_norms(gradient, group.segments)
    is_learning, learning_rate = like(gradient, learning, group.learning_rate(progress))
    is_learning &= before.sum(1) < math.inf
    finite = before
    if not is_learning.all():
        gradient, finite, learning_rate = (
            library(x).where(is_learning[:, None], x, 0.0) for x in (gradient, before, learning_rate)
        )
    clipped_gradient, clipped = clip(gradient, group.segments, finite)
    after = module_norms(clipped_gradient, group.segments)
    group.step(clipped_gradient, learning_rate)
    return GroupNorms(group.loss, group.modules, before, after, clipped, learning_rate[:, 0])
