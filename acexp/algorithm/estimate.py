"""The evaluation of a rollout by the networks, which makes it a batch with targets to learn from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from acexp.algorithm.population import Population
from acexp.architectures import Backward
from acexp.core.arrays import Array, as_float32, contiguous, copy, library, like
from acexp.core.observations import Inputs, Leaves
from acexp.core.returns import generalized_advantages
from acexp.core.statistics import mean_weights
from acexp.core.types import Batch, Rollout


class Evaluation(NamedTuple):
    """What the networks have read and computed.

    Attributes:
        inputs: Their inputs, normalized by the statistics with which the policy acted, `[M, B, *shape]`.
        backward: The backward pass from their outputs to their parameters.
    """

    inputs: Inputs
    backward: Backward


def flat(x: Array) -> Array:
    """Flatten `[T, M, N, ...]` to `[M, T * N, ...]`: one row per member, whose sums do not depend on the others.

    The result is contiguous, also where a view would do: products round otherwise for other strides.
    """
    steps, members, envs, *shape = x.shape
    return contiguous(x.swapaxes(0, 1).reshape(members, steps * envs, *shape))


@torch.inference_mode()
@np.errstate(all="ignore")  # what is not finite is found once, in the gradient
def estimate(population: Population, rollout: Rollout) -> tuple[Batch, Evaluation]:
    """Evaluate the rollout once; return its batch, with advantages and returns, and its evaluation.

    The normalizers learn from the rollout here. Observation statistics are updated after the evaluation, which must use
    the same statistics as acting did; reward statistics are updated before they are used.
    """
    observe, architecture = population.observe, population.architecture
    hyperparameters, process_group = population.objective.hyperparameters, population.process_group
    gamma, gae_lambda = like(rollout.rewards, hyperparameters.gamma, hyperparameters.gae_lambda)
    *steps, n_members, n_envs = rollout.rewards.shape
    observations: Leaves = tuple(flat(leaf[:-1]) for leaf in rollout.observations)
    inputs = observe(observations)
    policy, values, backward = architecture.evaluate(inputs, rollout.tape)
    last_value = architecture.value(observe(tuple(leaf[-1] for leaf in rollout.observations)))
    step_values = values.reshape(n_members, *steps, n_envs).swapaxes(0, 1)
    advantages = flat(
        generalized_advantages(
            _rewards(population, rollout),
            library(values).concatenate((step_values, last_value[None])),
            rollout.terminated,
            rollout.truncated,
            gamma,
            gae_lambda,
        )
    )
    mask = flat(rollout.valid)
    valid = as_float32(mask)
    weight = mean_weights(valid, process_group)
    # Normalizers, also those of users, receive the observations of all processes, so they need no process group.
    *gathered, gathered_valid = process_group.gather((*observations, mask), 1)
    observe.update(tuple(gathered), gathered_valid)
    batch = Batch(
        policy=policy,
        values=values,
        actions=copy(flat(rollout.actions)),
        advantages=advantages,
        returns=advantages + values,
        valid=valid,
        weight=weight,
    )
    return batch, Evaluation(inputs, backward)


def _rewards(population: Population, rollout: Rollout) -> Array:
    """Return the rewards for learning, `[T, M, N]`, scaled by the statistics of all processes."""
    process_group = population.process_group
    done = rollout.terminated | rollout.truncated
    n_envs = rollout.rewards.shape[2] * process_group.world_size
    scaled = population.reward_normalizer(*process_group.gather((rollout.rewards, done, rollout.valid), 2))
    return scaled[:, :, process_group.shard(n_envs)]
