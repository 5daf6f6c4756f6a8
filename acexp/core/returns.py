"""Advantages and returns of a rollout, which treat terminated and truncated episodes differently."""

from __future__ import annotations

from acexp.core.arrays import Array, add_product, as_float32, library, stack
from acexp.core.process_group import SINGLE_PROCESS, ProcessGroup


def generalized_advantages(
    rewards: Array,
    values: Array,
    terminated: Array,
    truncated: Array,
    gamma: Array,
    gae_lambda: Array,
) -> Array:
    """Compute generalized advantage estimates (Schulman et al., 2016, equation 16).

    `delta_t = r_t + gamma * (1 - terminated_t) * V(s_{t+1}) - V(s_t)`
    `A_t = delta_t + gamma * lambda * (1 - terminated_t) * (1 - truncated_t) * A_{t+1}`

    A time limit cuts an episode off without ending the task: the error bootstraps from the final observation's value
    unless the step *terminated*, while the sum over later errors stops at either. The observation after the last step
    of an episode is the true final one (NEXT_STEP autoreset), so `values[t + 1]` is the value to bootstrap from.

    Args:
        rewards: Rewards, `[T, M, N]` float.
        values: The critic's values, `[T + 1, M, N]` float; the last row is that of the observation after the rollout.
        terminated, truncated: Whether and how an episode ended at the step, `[T, M, N]` bool.
        gamma, gae_lambda: The members' discount factors and lambdas, `[M]` float.

    Returns:
        The advantages, `[T, M, N]` float. Reset slots hold meaningless numbers and must be masked.
    """
    xp = library(rewards)
    discount = xp.where(terminated, 0.0, gamma.reshape(1, -1, 1))
    decay = xp.where(truncated, 0.0, discount * gae_lambda.reshape(1, -1, 1))
    delta = add_product(rewards, discount, values[1:])
    delta -= values[:-1]

    steps = list(zip(delta, decay, strict=True))
    advantage, _ = steps.pop()
    advantages = [advantage]
    for delta_t, decay_t in reversed(steps):
        advantage = add_product(delta_t, decay_t, advantage)
        advantages.append(advantage)
    return stack(advantages[::-1])


def discounted_returns(rewards: Array, done: Array, gamma: Array, start: Array) -> tuple[Array, Array]:
    """Compute the discounted sum of past rewards, `R_t = gamma * R_{t-1} + r_t`, reset to 0 after an episode's end.

    Args:
        rewards: Rewards, `[T, M, N]` float.
        done: Whether the step terminated or truncated an episode, `[T, M, N]` bool.
        gamma: The members' discount factors, `[M]` float.
        start: R before the first slot, `[M, N]` float.

    Returns:
        R at each slot, `[T, M, N]`, and the `start` of the next rollout, `[M, N]`.
    """
    gamma = gamma.reshape(-1, 1)
    continues = as_float32(~done)
    sums, running = [], start
    for reward, not_done in zip(rewards, continues, strict=True):
        sums.append(add_product(reward, running, gamma))
        running = sums[-1] * not_done
    return stack(sums), running


def normalized(advantages: Array, weight: Array, process_group: ProcessGroup = SINGLE_PROCESS) -> Array:
    """Return the advantages shifted and scaled to mean 0 and standard deviation 1 over each member's valid slots.

    `[M, B]`, `[M, B]` -> `[M, B]`; the other slots hold meaningless numbers. `weight` holds the `mean_weights` of the
    valid slots. With several processes, mean and deviation are over the slots of all of them.
    """
    centered = advantages - process_group.sum((advantages * weight).sum(-1))[..., None]
    variance = process_group.sum((centered * centered * weight).sum(-1))[..., None]
    return centered / (variance**0.5 + 1e-8)
