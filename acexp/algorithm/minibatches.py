"""The parts of a rollout that the steps of an update learn from."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from acexp.algorithm.estimate import Evaluation
from acexp.algorithm.population import Population
from acexp.architectures import Backward
from acexp.core.arrays import Array, like
from acexp.core.observations import Inputs
from acexp.core.statistics import mean_weights
from acexp.core.types import Batch


def minibatches(population: Population, rollout: Batch, evaluation: Evaluation) -> Iterator[tuple[Batch, Backward]]:
    """Yield each batch that an update learns from, with its backward pass: `epochs * minibatches` of them.

    Each is evaluated when it is asked for, by the networks as they are then. A rollout that is used whole is never
    shuffled, and is not evaluated again for the first step.
    """
    objective = population.objective
    for epoch in range(objective.epochs):
        if objective.minibatches > 1:
            order, is_own = _shuffled(population, rollout)
            chunks = (order.chunk(objective.minibatches, 1), is_own.chunk(objective.minibatches, 1))
            for rows, own in zip(*chunks, strict=True):
                part = rollout.map(partial(_rows, rows=rows))
                part = part._replace(valid=part.valid * like(part.valid, own)[0])
                yield _evaluated(population, part, tuple(_rows(x, rows) for x in evaluation.inputs))
        elif epoch == 0:
            yield rollout, evaluation.backward
        else:
            yield _evaluated(population, rollout, evaluation.inputs)


def without(batch: Batch, members: Tensor) -> Batch:
    """Return the batch without a valid slot of some members, bool `[M]`, which then take no step with it."""
    (kept,) = like(batch.valid, (~members).unsqueeze(1))
    return batch._replace(valid=batch.valid * kept, weight=batch.weight * kept)


def _shuffled(population: Population, rollout: Batch) -> tuple[Tensor, Tensor]:
    """Return a random order of each member's slots, `[M, B]`, and which of them this process has, bool `[M, B]`.

    Each member draws it from its own generator. Of several processes, all draw the same order of the slots of all of
    them, B in total, as one process would; slots of others are replaced by the first one.
    """
    process_group, collector = population.process_group, population.collector
    n_slots = rollout.valid.shape[1] * process_group.world_size
    drawn = [torch.randperm(n_slots, generator=generator) for generator in collector.generators]
    order = torch.stack(drawn).to(population.learning.device)
    n_envs = n_slots // collector.n_steps
    shard = process_group.shard(n_envs)
    step, env = order // n_envs, order % n_envs - shard.start
    width = shard.stop - shard.start
    is_own = (env >= 0) & (env < width)
    return torch.where(is_own, step * width + env, 0), is_own


def _rows(x: Array, rows: Tensor) -> Array:
    """Return some slots of every member: `[M, B, ...]`, `[M, b]` -> `[M, b, ...]`."""
    members = torch.arange(len(x), device=rows.device)
    every, rows = like(x, members.unsqueeze(1), rows)
    return x[every, rows]


def _evaluated(population: Population, batch: Batch, inputs: Inputs) -> tuple[Batch, Backward]:
    """Return the batch as the current networks evaluate it, and the backward pass."""
    policy, values, backward = population.architecture.evaluate(inputs)
    weight = mean_weights(batch.valid, population.process_group)
    return batch._replace(policy=policy, values=values, weight=weight), backward
