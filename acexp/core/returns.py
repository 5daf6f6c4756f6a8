"""Advantages and returns of a rollout, which treat terminated and truncated episodes differently."""

from __future__ import annotations

import torch
from torch import Tensor

from acexp.core.process_group import SINGLE_PROCESS, ProcessGroup


def generalized_advantages(
    rewards: Tensor,
    values: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    gamma: Tensor,
    gae_lambda: Tensor,
) -> Tensor:
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
    discount = torch.where(terminated, 0.0, gamma.view(1, -1, 1))
    decay = torch.where(truncated, 0.0, discount * gae_lambda.view(1, -1, 1))
    delta = torch.addcmul(rewards, discount, values[1:]).sub_(values[:-1])

    steps = list(zip(delta.unbind(), decay.unbind(), strict=True))
    advantage, _ = steps.pop()
    advantages = [advantage]
    for delta_t, decay_t in reversed(steps):
        advantage = torch.addcmul(delta_t, decay_t, advantage)
        advantages.append(advantage)
    return torch.stack(advantages[::-1])


def discounted_returns(rewards: Tensor, done: Tensor, gamma: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the discounted sum of past rewards, `R_t = gamma * R_{t-1} + r_t`, reset to 0 after an episode's end.

    Args:
        rewards: Rewards, `[T, M, N]` float.
        done: Whether the step terminated or truncated an episode, `[T, M, N]` bool.
        gamma: The members' discount factors, `[M]` float.
        start: R before the first slot, `[M, N]` float.

    Returns:
        R at each slot, `[T, M, N]`, and the `start` of the next rollout, `[M, N]`.
    """
    gamma = gamma.view(-1, 1)
    continues = (~done).to(rewards.dtype)
    sums, running = [], start
    for reward, not_done in zip(rewards.unbind(), continues.unbind(), strict=True):
        sums.append(torch.addcmul(reward, running, gamma))
        running = sums[-1] * not_done
    return torch.stack(sums), running


def normalized(advantages: Tensor, weight: Tensor, process_group: ProcessGroup = SINGLE_PROCESS) -> Tensor:
    """Return the advantages shifted and scaled to mean 0 and standard deviation 1 over each member's valid slots.

    `[M, B]`, `[M, B]` -> `[M, B]`; the other slots hold meaningless numbers. `weight` holds the `mean_weights` of the
    valid slots. With several processes, mean and deviation are over the slots of all of them.
    """
    centered = advantages - process_group.sum((advantages * weight).sum(-1, keepdim=True))
    deviation = process_group.sum((centered.square() * weight).sum(-1, keepdim=True)).sqrt()
    return centered / (deviation + 1e-8)
