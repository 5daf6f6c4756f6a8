"""Policies that do not learn, and whole episodes played with them."""

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
from acexp.core.stopping import StopRequestedError
from acexp.core.types import Episode
from acexp.engines import Engine
from acexp.normalizers import ObservationNormalizer

LONGEST = 100_000
"""The slots after which an episode counts as over: without a time limit, a policy may never reach the end of one."""


@dataclass(frozen=True, slots=True)
class Policy:
    """M policies, which map raw observations to actions. They do not learn.

    Attributes:
        observe: Converts raw observations to network inputs; its statistics do not change.
        architecture: The networks, of which the actors are used.
        distribution: The action distribution, which interprets the actors' output.
        device: Device of the networks.
    """

    observe: ObservationNormalizer
    architecture: Architecture
    distribution: Distribution
    device: torch.device

    @torch.inference_mode()
    def act(self, observation: Any, generators: Sequence[torch.Generator] | None = None) -> np.ndarray[Any, Any]:
        """Return actions for a batched raw observation of M * N environments, in the form that their `step` takes.

        They are the most likely actions, or sampled ones if `generators` has one generator per member.
        """
        parameters = self.parameters(self.load(observation))
        if generators is None:
            actions = self.distribution.mode(parameters)
        else:
            noise = [self.distribution.draw((parameters.shape[1],), generator) for generator in generators]
            actions = self.distribution.sample(parameters, torch.stack(noise).to(self.device))
        return self.distribution.to_environment(actions.flatten(0, 1).cpu().numpy())

    def parameters(self, leaves: Leaves) -> Tensor:
        """Compute the distribution's parameters, float32 `[M, N, K]`, from raw leaves `[M, N, *shape]`."""
        return self.architecture.policy(self.observe(leaves))

    def load(self, observation: Any) -> Leaves:
        """Split a batched raw observation of M * N environments into leaves `[M, N, *shape]`, in the leaves' dtypes."""
        n_members = self.architecture.parameters.n_members

        def tensor(array: np.ndarray[Any, Any], shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
            # It must be a copy, because engines reuse their arrays, and some arrays are read-only.
            return torch.tensor(array).to(self.device, dtype).view(n_members, -1, *shape)

        return tuple(tensor(pick(observation, leaf), leaf.shape, leaf.dtype) for leaf in self.observe.leaves)


def play(
    policy: Policy, engine: Engine, n_episodes: int, generators: Sequence[torch.Generator] | None = None
) -> list[list[Episode]]:
    """Play `n_episodes` whole episodes of every member, from the seeds of the engine's environments.

    Each environment plays a fixed share of them; otherwise short episodes, which end first, would be overrepresented.

    Args:
        policy: The policies of M members.
        engine: Engine with M * N environments, ordered by member. StopRequestedError is raised once its `should_stop`
            returns True.
        n_episodes: Number of episodes of each member.
        generators: Generators of action noise, one per member; with None, the most likely actions are taken.
    """
    observation = engine.reset()
    n_members = policy.architecture.parameters.n_members
    first = pick(observation, policy.observe.leaves[0])
    n_envs = len(first) // n_members
    share = np.full(n_envs, n_episodes // n_envs) + (np.arange(n_envs) < n_episodes % n_envs)
    remaining = np.tile(share, n_members)
    total, length = np.zeros(len(remaining)), np.zeros(len(remaining), np.int64)
    was_done = np.zeros(len(remaining), np.bool_)
    ended: list[list[Episode]] = [[] for _ in remaining]
    while remaining.any():
        if engine.should_stop():
            raise StopRequestedError
        step = engine.step(policy.act(observation, generators))
        observation = step.observation
        total += np.where(was_done, 0.0, step.reward)
        length += ~was_done
        was_done = step.terminated | step.truncated
        for e in np.flatnonzero(was_done | (length >= LONGEST)).tolist():
            if remaining[e]:
                info = engine.final_info.get(e, {})
                ended[e].append(Episode(e // n_envs, float(total[e]), int(length[e]), info))
                remaining[e] = remaining[e] - 1 if was_done[e] else 0
            total[e], length[e] = 0.0, 0
    return [[episode for env in ended[m * n_envs : (m + 1) * n_envs] for episode in env] for m in range(n_members)]
