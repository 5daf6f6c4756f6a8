"""The collection of rollouts.

The parameters do not change during a rollout, so acting needs only the actor, noise is drawn once for all T steps, and
values are computed later, in the one pass over the whole rollout that the update needs anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from acexp.algorithm.faults import Steps, first_faults, is_sound
from acexp.algorithm.policy import Policy
from acexp.core.arrays import Array, as_arrays, put
from acexp.core.observations import Leaves, pick
from acexp.core.stopping import StopRequestedError
from acexp.core.tape import Tape
from acexp.core.types import EnvironmentFault, Episode, Rollout
from acexp.engines import Engine
from acexp.engines.contract import FaultyEnvironmentError

REWARD_CLIP = 1.0


class RolloutShape(NamedTuple):
    """The size of a rollout.

    Attributes:
        n_steps: T, the steps of each environment.
        n_envs: N, the environments of each member, in all processes together.
        shard: The slice of a member's N environments that this process steps.
    """

    n_steps: int
    n_envs: int
    shard: slice


class Collector:
    """Steps M times N environments with the current policies, T steps at a time.

    Args:
        engine: Engine that steps this process's environments, ordered by member.
        policy: The members' actors and observation normalizers.
        generators: Generators of action noise, one per member.
        shape: Size of a rollout.
        clip_rewards: Whether the rewards for learning are clipped to [-1, 1]; episode returns remain raw.
        in_numpy: Whether the policy acts, and rollouts are given, as NumPy arrays; if not, as tensors.
    """

    def __init__(
        self,
        engine: Engine,
        policy: Policy,
        generators: Sequence[torch.Generator],
        shape: RolloutShape,
        *,
        clip_rewards: bool,
        in_numpy: bool = False,
    ) -> None:
        self.engine = engine
        self._observe, self._architecture = policy.observe, policy.architecture
        self._distribution = distribution = policy.distribution
        self._device = device = policy.device
        self._is_on_host = device.type == "cpu"
        self._generators = tuple(generators)
        self.n_steps, self._n_drawn, self._shard = shape
        n_steps = shape.n_steps
        self._n_envs = n_envs = shape.shard.stop - shape.shard.start
        self._clip_rewards, self._in_numpy = clip_rewards, in_numpy

        slots = (n_steps, len(self._generators), n_envs)
        self._slots = slots
        self._observations = tuple(
            torch.zeros(n_steps + 1, *slots[1:], *leaf.shape, dtype=leaf.dtype, device=device)
            for leaf in policy.observe.leaves
        )
        self._actions = torch.zeros(*slots, *distribution.action_shape, dtype=distribution.action_dtype, device=device)
        self._tape = Tape(n_steps)
        # Their rows are taken once, because creating a view takes as long as a small network's layer.
        self._observed = list(zip(*(leaf.unbind() for leaf in self._observations), strict=True))
        self._acted = self._given(self._actions.unbind())
        # On the CPU these arrays share memory with the tensors, and no copying is needed.
        self._host = [tuple(leaf.flatten(0, 1).cpu().numpy() for leaf in row) for row in self._observed]
        self._host_actions = [row.flatten(0, 1).cpu().numpy() for row in self._actions]
        # Rollouts are given as they are computed with, and the policy sees the same arrays at every rollout.
        self._seen: list[Leaves] = [self._given(row) for row in self._observed]
        self._given_observations, (self._given_actions,) = self._given(self._observations), self._given([self._actions])
        # The engine's results are collected on the host, step by step, and moved to the device once per rollout.
        flat = (n_steps, slots[1] * n_envs)
        self._raw_rewards, self._rewards = np.zeros(flat, np.float64), np.zeros(flat, np.float32)
        self._terminated, self._truncated = np.zeros(flat, np.bool_), np.zeros(flat, np.bool_)
        self._valid = np.ones(flat, np.bool_)
        self._final_infos: list[Mapping[int, dict[str, float]]] = [{}] * n_steps
        gathered = (self._rewards, self._terminated, self._truncated, self._valid)
        self._gathered = self._given([torch.from_numpy(array).view(slots) for array in gathered])

        self._was_done = np.zeros(flat[1], np.bool_)
        self._episode_return = np.zeros(flat[1], np.float64)
        self._episode_length = np.zeros(flat[1], np.int64)
        try:
            self._store(n_steps, engine.reset())
        except FaultyEnvironmentError as error:
            self._locate(error, 0)
            raise

    @np.errstate(all="ignore")  # values that are not finite are found at the end, and named
    def collect(self) -> Rollout:
        """Collect the next T steps of every environment.

        Raises StopRequestedError, in the middle of the rollout, once the engine's `should_stop` returns True.
        """
        try:
            self._step_environments()
        except FaultyEnvironmentError as error:
            self._locate(error, self._tape.step + 1)
            raise
        except (RuntimeError, IndexError) as error:
            # A network cannot read a discrete observation that lies outside of its space.
            faults = self._faults(self._tape.step)
            if not faults:
                raise
            member, slot, problem = faults[0]
            raise FaultyEnvironmentError(problem, member=member, slot=slot) from error
        faults = self._faults(self.n_steps)
        episodes = self._process_endings()
        gathered = self._gathered
        if not self._is_on_host:
            gathered = tuple(each.to(self._device) for each in gathered)
        rewards, terminated, truncated, valid = gathered
        return Rollout(
            observations=self._given_observations,
            actions=self._given_actions,
            rewards=rewards,
            terminated=terminated,
            truncated=truncated,
            valid=valid,
            tape=self._tape,
            episodes=episodes,
            faults=faults,
        )

    def state(self) -> dict[str, Tensor]:
        """Return the last observation and the running episode of every environment, `[M, N, ...]` each: not copies."""
        arrays = {"done": self._was_done, "return": self._episode_return, "length": self._episode_length}
        counted = {name: torch.from_numpy(array).view(self._slots[1:]) for name, array in arrays.items()}
        return counted | {leaf.path: x for leaf, x in zip(self._observe.leaves, self._observed[-1], strict=True)}

    @property
    def generators(self) -> tuple[torch.Generator, ...]:
        """The generators of action noise, one per member."""
        return self._generators

    @torch.inference_mode()
    def _step_environments(self) -> None:
        """Step every environment T times, and store the observations, actions and results."""
        for first, last in zip(self._observed[0], self._observed[-1], strict=True):
            first.copy_(last)
        (noises,) = self._given([self._draw_noise()])
        for t, (seen, noise, acted) in enumerate(zip(self._seen, noises, self._acted, strict=False)):
            if self.engine.should_stop():
                raise StopRequestedError
            self._tape.step = t
            policy = self._architecture.policy(self._observe(seen), self._tape)
            put(acted, self._distribution.sample(policy, noise))
            step = self.engine.step(self._distribution.to_environment(self._fetch_actions(t)))
            self._store(t + 1, step.observation)
            self._raw_rewards[t], self._terminated[t], self._truncated[t] = step[1:]
            if self.engine.info_keys:
                self._final_infos[t] = self.engine.final_info

    def _given(self, tensors: Sequence[Tensor]) -> tuple[Array, ...]:
        """Return tensors as they are, or, if the policy acts in NumPy, as arrays that share their memory."""
        return as_arrays(tensors) if self._in_numpy else tuple(tensors)

    def _fetch_actions(self, t: int) -> NDArray[Any]:
        """Return the actions of step `t` on the host, `[M * N, *action_shape]`."""
        if not self._is_on_host:
            self._host_actions[t][...] = self._actions[t].flatten(0, 1).cpu().numpy()
        actions: NDArray[Any] = self._host_actions[t]
        return actions

    def _draw_noise(self) -> Tensor:
        """Draw noise from each member's generator for all processes; return the shard's `[T, M, N, *noise_shape]`."""
        slots = (self.n_steps, self._n_drawn)
        drawn = [self._distribution.draw(slots, generator)[:, self._shard] for generator in self._generators]
        return (drawn[0].unsqueeze(1) if len(drawn) == 1 else torch.stack(drawn, 1)).to(self._device)

    def _store(self, row: int, observation: Any) -> None:
        for leaf, host, stored in zip(self._observe.leaves, self._host[row], self._observed[row], strict=True):
            host[...] = pick(observation, leaf)
            if not self._is_on_host:
                stored.copy_(torch.from_numpy(host).view_as(stored))

    def _faults(self, n_steps: int) -> tuple[EnvironmentFault, ...]:
        """Return each member's first fault in the first steps of the rollout, before its endings are processed."""
        leaves = self._observe.leaves
        given = tuple(values[: n_steps + 1] for values in self._given_observations)
        if is_sound(leaves, given, self._raw_rewards[:n_steps]):
            return ()
        observations = tuple(values[: n_steps + 1] for values in self._observations)
        rewards = torch.from_numpy(self._raw_rewards[:n_steps]).view(n_steps, *self._slots[1:])
        done = (self._terminated | self._truncated)[: max(n_steps - 1, 0)]
        is_reset = np.concatenate([np.ones_like(self._was_done)[np.newaxis], self._was_done[np.newaxis], done])
        steps = Steps(
            observations,
            rewards,
            self._actions[:n_steps],
            torch.from_numpy(is_reset[: n_steps + 1]).view(n_steps + 1, *self._slots[1:]),
        )
        found = first_faults(leaves, steps)
        return tuple(EnvironmentFault(x.member, self._slot(x.row, x.env), x.problem) for x in found)

    def _locate(self, error: FaultyEnvironmentError, row: int) -> None:
        """Write into the error which member it concerns, and when, given the row of observations that it prevents."""
        if error.index is not None:
            error.member, env = divmod(error.index, self._n_envs)
            error.slot = self._slot(row, env)

    def _slot(self, row: int, env: int) -> int:
        """Return the env step of the member's rollout that led to a row of observations, counted from 1."""
        first: int = self._shard.start
        return max(row - 1, 0) * self._n_drawn + first + env + 1

    def _process_endings(self) -> tuple[Episode, ...]:
        """Mark the reset slots that follow the rollout's endings, and return the episodes that ended."""
        done = self._terminated | self._truncated
        self._valid[0] = ~self._was_done
        np.logical_not(done[:-1], out=self._valid[1:])
        self._was_done[...] = done[-1]
        np.multiply(self._raw_rewards, self._valid, out=self._raw_rewards)
        if self._clip_rewards:
            np.clip(self._raw_rewards, -REWARD_CLIP, REWARD_CLIP, out=self._rewards)
        else:
            self._rewards[...] = self._raw_rewards

        episodes: list[Episode] = []
        begin = 0
        for t in np.flatnonzero(done.any(1)).tolist():
            self._add_to_episodes(begin, t + 1)
            begin = t + 1
            info = self._final_infos[t]
            episodes += [
                Episode(
                    e // self._n_envs, float(self._episode_return[e]), int(self._episode_length[e]), info.get(e, {})
                )
                for e in np.flatnonzero(done[t]).tolist()
            ]
            self._episode_return[done[t]] = 0.0
            self._episode_length[done[t]] = 0
        self._add_to_episodes(begin, self.n_steps)
        return tuple(episodes)

    def _add_to_episodes(self, begin: int, end: int) -> None:
        """Add the slots of the steps `[begin, end)` to the returns and lengths of the running episodes."""
        self._episode_return += self._raw_rewards[begin:end].sum(0)
        self._episode_length += self._valid[begin:end].sum(0)
