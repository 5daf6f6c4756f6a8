"""Values from environments that nothing can be learned from: found once per rollout, and named."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from acexp.core.observations import PRACTICALLY_INFINITE, Leaf, LeafKind, Leaves
from acexp.engines.contract import FINITE_RULE, RANGE_RULE, RESET, REWARD_RULE, STEP, shown


class Steps(NamedTuple):
    """The steps of a rollout, or its first ones.

    Attributes:
        observations: Leaves `[T + 1, M, N, *shape]`.
        rewards: Raw rewards, float64 `[T, M, N]`.
        actions: Actions as sampled, `[T, M, N, *action_shape]`.
        is_reset: Whether each observation is that of a reset, bool `[T + 1, M, N]`.
    """

    observations: Leaves
    rewards: Tensor
    actions: Tensor
    is_reset: Tensor


class Fault(NamedTuple):
    """A value that nothing can be learned from: row `row` of the observations, or the reward of the step before it."""

    row: int
    member: int
    env: int
    problem: str


@np.errstate(over="ignore")
def is_sound(leaves: tuple[Leaf, ...], observations: Leaves, rewards: NDArray[np.float64]) -> bool:
    """Return True if all values can be learned from. False may be wrong: it also means that their sum is infinite.

    A sum is finite only if its terms are, and takes a single pass.
    """
    sums: list[Any] = [rewards.astype(np.float32).sum()]  # they are learned from in float32
    for leaf, values in zip(leaves, observations, strict=True):
        if leaf.kind is LeafKind.VECTOR:
            sums.append(values.sum())
        elif leaf.kind is LeafKind.DISCRETE and not leaf.contains(values).all():
            return False
    return all(math.isfinite(float(total)) for total in sums)


def first_faults(leaves: tuple[Leaf, ...], steps: Steps) -> list[Fault]:
    """Return the first fault of each member, unless the member's own action before it was beyond all measure."""
    pairs = list(zip(leaves, steps.observations, strict=True))
    bad = [(~leaf.contains(x)).reshape(*x.shape[:3], -1).any(-1).cpu() for leaf, x in pairs]
    rewards = torch.zeros_like(bad[0])
    rewards[1:] = ~steps.rewards.float().isfinite()
    faults = []
    for member in range(rewards.shape[1]):
        found = torch.stack([*bad, rewards])[:, :, member].any(0).nonzero().tolist()
        if not found:
            continue
        row, env = found[0]
        actions = steps.actions[:row, member, env].double()
        if not bool((actions.abs() <= PRACTICALLY_INFINITE).all()):
            continue  # the policy diverged first
        method = RESET if steps.is_reset[row, member, env] else STEP
        broken = [
            f"{method} returned the {leaf.path} {shown(values[row, member, env].cpu().numpy())}; "
            + (FINITE_RULE if leaf.kind is LeafKind.VECTOR else RANGE_RULE)
            for (leaf, values), flags in zip(pairs, bad, strict=True)
            if flags[row, member, env]
        ]
        if not broken:
            broken = [f"{method} returned the reward {steps.rewards[row - 1, member, env]:g}; {REWARD_RULE}"]
        problem = broken[0]
        faults.append(Fault(row, member, env, problem))
    return faults
