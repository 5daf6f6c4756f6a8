"""Layer 2: whole episodes with policies that stand still."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from acexp.architectures import Architecture
from acexp.core.distributions import Distribution
from acexp.core.observations import Leaves, pick
from acexp.core.types import Episode
from acexp.engines import Engine
from acexp.normalizers import ObservationNormalizer

LONGEST = 100_000
"""Slots after which an episode counts as over: some environments have no time limit, and some policies stand still."""


@dataclass(frozen=True, slots=True)
class Policy:
    """M policies: from raw observations to actions. Nothing here learns.

    Attributes:
        observe: raw observations to network inputs, with statistics that stay as they are.
        architecture: the actors.
        distribution: what their output means.
        device: where they are.
    """

    observe: ObservationNormalizer
    architecture: Architecture
    distribution: Distribution
    device: torch.device

    @torch.inference_mode()
    def act(self, observation: Any, generators: Sequence[torch.Generator] | None = None) -> np.ndarray[Any, Any]:
        """For a batched raw observation of M * N environments, what their `step` takes.

        The most likely actions; with a generator for each member, sampled ones.
        """
        parameters = self.parameters(self.load(observation))
        if generators is None:
            actions = self.distribution.mode(parameters)
        else:
            noise = [self.distribution.draw((parameters.shape[1],), generator) for generator in generators]
            actions = self.distribution.sample(parameters, torch.stack(noise).to(self.device))
        return self.distribution.to_environment(actions.flatten(0, 1).cpu().numpy())

    def parameters(self, leaves: Leaves) -> Tensor:
        """What the distribution reads: raw leaves `[M, N, *shape]` -> float32 `[M, N, K]`."""
        return self.architecture.policy(self.observe(leaves))

    def load(self, observation: Any) -> Leaves:
        """A batched raw observation of M * N environments as leaves `[M, N, *shape]` in the dtypes of their kinds."""
        n_members = self.architecture.parameters.n_members

        def tensor(array: np.ndarray[Any, Any], shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
            # A copy: engines reuse their arrays, and some cannot be written to.
            return torch.tensor(array).to(self.device, dtype).view(n_members, -1, *shape)

        return tuple(tensor(pick(observation, leaf), leaf.shape, leaf.dtype) for leaf in self.observe.leaves)


def play(
    policy: Policy, engine: Engine, n_episodes: int, generators: Sequence[torch.Generator] | None = None
) -> list[list[Episode]]:
    """`n_episodes` whole episodes of every member, from the seeds of the engine's environments.

    Each environment plays its share and no more, so that short episodes, which end first, do not crowd out long ones.

    Args:
        policy: of M members.
        engine: with M * N environments, a member's N next to each other.
        n_episodes: of each member.
        generators: of action noise, one for each member; None takes the most likely actions.
    """
    observation = engine.reset()
    n_members = policy.architecture.parameters.n_members
    first = pick(observation, policy.observe.leaves[0])
    n_envs = len(first) // n_members
    share = np.full(n_envs, n_episodes // n_envs) + (np.arange(n_envs) < n_episodes % n_envs)
    left = np.tile(share, n_members)
    total, length = np.zeros(len(left)), np.zeros(len(left), np.int64)
    was_done = np.zeros(len(left), np.bool_)
    ended: list[list[Episode]] = [[] for _ in left]
    while left.any():
        step = engine.step(policy.act(observation, generators))
        observation = step.observation
        total += np.where(was_done, 0.0, step.reward)
        length += ~was_done
        was_done = step.terminated | step.truncated
        for e in np.flatnonzero(was_done | (length >= LONGEST)).tolist():
            if left[e]:
                ended[e].append(Episode(e // n_envs, float(total[e]), int(length[e])))
                left[e] = left[e] - 1 if was_done[e] else 0
            total[e], length[e] = 0.0, 0
    return [[episode for env in ended[m * n_envs : (m + 1) * n_envs] for episode in env] for m in range(n_members)]
