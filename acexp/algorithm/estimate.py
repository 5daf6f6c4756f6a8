"""Layer 2: from a rollout to a batch that can be learned from: evaluated by the networks, with targets."""

from __future__ import annotations

import torch
from torch import Tensor

from acexp.algorithm.population import Population
from acexp.architectures import Backward
from acexp.core.observations import Leaves
from acexp.core.returns import generalized_advantages, normalized
from acexp.core.statistics import mean_weights
from acexp.core.types import Batch, Rollout


def flat(x: Tensor) -> Tensor:
    """`[T, M, N, ...]` -> `[M, T * N, ...]`: a row for each member, whose sums do not depend on the others."""
    return x.transpose(0, 1).flatten(1, 2)


@torch.inference_mode()
def estimate(population: Population, rollout: Rollout) -> tuple[Batch, Backward]:
    """Evaluate the rollout once, compute its advantages and returns, and keep the way back to the parameters.

    The normalizers learn from the rollout here: observation statistics after it was evaluated with those that it was
    acted with, so that a policy is scored on what it saw; reward statistics before their use.
    """
    observe, architecture = population.observe, population.architecture
    hyperparameters, process_group = population.objective.hyperparameters, population.process_group
    *steps, n_members, n_envs = rollout.rewards.shape
    observations: Leaves = tuple(flat(leaf[:-1]) for leaf in rollout.observations)
    policy, values, back = architecture.evaluate(observe(observations), rollout.tape)
    last_value = architecture.value(observe(tuple(leaf[-1] for leaf in rollout.observations)))
    by_step = values.view(n_members, *steps, n_envs).transpose(0, 1)
    advantages = flat(
        generalized_advantages(
            _rewards(population, rollout),
            torch.cat((by_step, last_value.unsqueeze(0))),
            rollout.terminated,
            rollout.truncated,
            hyperparameters.gamma,
            hyperparameters.gae_lambda,
        )
    )
    mask = flat(rollout.valid)
    valid = mask.to(advantages.dtype)
    weight = mean_weights(valid, process_group)
    # Normalizers see what all process_group have seen: those of users as well, who need not know that there are any.
    *seen, seen_valid = process_group.gather((*observations, mask), 1)
    observe.update(tuple(seen), seen_valid)
    batch = Batch(
        policy=policy,
        values=values,
        actions=flat(rollout.actions).clone(),
        advantages=normalized(advantages, weight, process_group) if population.normalize_advantage else advantages,
        returns=advantages + values,
        valid=valid,
        weight=weight,
    )
    return batch, back


def _rewards(population: Population, rollout: Rollout) -> Tensor:
    """For learning, `[T, M, N]`; scaled by what all process_group have seen."""
    process_group = population.process_group
    done = rollout.terminated | rollout.truncated
    n_envs = rollout.rewards.shape[2] * process_group.world_size
    scaled = population.reward_normalizer(*process_group.gather((rollout.rewards, done, rollout.valid), 2))
    return scaled[:, :, process_group.shard(n_envs)]
