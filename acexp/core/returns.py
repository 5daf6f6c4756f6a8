"""Advantages and returns from a rollout, with terminated and truncated kept apart."""

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
    """Generalized advantage estimation (Schulman et al., 2016, equation 16).

    `delta_t = r_t + gamma * (1 - terminated_t) * V(s_{t+1}) - V(s_t)`
    `A_t = delta_t + gamma * lambda * (1 - terminated_t) * (1 - truncated_t) * A_{t+1}`

    A time limit ends the episode but not the future: the error bootstraps from the final observation's value unless
    the step *terminated*, while the sum over later errors stops at either. The observation after the last step of an
    episode is the true final one (NEXT_STEP autoreset), so `values[t + 1]` is the value to bootstrap from.

    Args:
        rewards: `[T, M, N]` float.
        values: `[T + 1, M, N]` float; the last row belongs to the observation after the rollout.
        terminated, truncated: `[T, M, N]` bool.
        gamma, gae_lambda: `[M]` float.

    Returns:
        `[T, M, N]` float. Reset slots hold numbers without meaning: mask them.
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
    """The discounted sum of past rewards at each slot: `R_t = gamma * R_{t-1} + r_t`, 0 again after an episode's end.

    Args:
        rewards: `[T, M, N]` float.
        done: `[T, M, N]` bool, terminated or truncated.
        gamma: `[M]` float.
        start: `[M, N]` float, R before the first slot.

    Returns:
        `[T, M, N]` and the `[M, N]` to start the next rollout with.
    """
    gamma = gamma.view(-1, 1)
    continues = (~done).to(rewards.dtype)
    sums, running = [], start
    for reward, goes_on in zip(rewards.unbind(), continues.unbind(), strict=True):
        sums.append(torch.addcmul(reward, running, gamma))
        running = sums[-1] * goes_on
    return torch.stack(sums), running


def normalized(advantages: Tensor, weight: Tensor, process_group: ProcessGroup = SINGLE_PROCESS) -> Tensor:
    """Advantages with mean 0 and deviation 1 over each member's valid slots, whose `mean_weights` these are.

    `[M, B]`, `[M, B]` -> `[M, B]`; the other slots hold numbers without meaning. With several processes, over the slots of all.
    """
    centered = advantages - process_group.sum((advantages * weight).sum(-1, keepdim=True))
    deviation = process_group.sum((centered.square() * weight).sum(-1, keepdim=True)).sqrt()
    return centered / (deviation + 1e-8)
