"""Layer 2: collecting rollouts.

The parameters stand still during a rollout, so acting needs only the actor, noise is drawn once for all T steps, and
values are left to the one pass over the whole rollout that the update needs anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from acexp.architectures import Architecture
from acexp.core.distributions import Distribution
from acexp.core.observations import pick
from acexp.core.tape import Tape
from acexp.core.types import Episode, Rollout
from acexp.engines import Engine
from acexp.normalizers import ObservationNormalizer

REWARD_CLIP = 1.0


class Collector:
    """Steps M times N environments with the current policies, T steps at a time.

    Args:
        engine: with those environments of each member that are stepped here, a member's next to each other.
        observe: raw observations to network inputs.
        architecture: the actors.
        distribution: what their output means.
        generators: one per member, for action noise.
        n_steps, n_envs: T and N.
        mine: which of a member's N environments are stepped here; process_group step the others.
        clip_rewards: whether learning sees rewards clipped to [-1, 1]; episodes are counted raw.
        device: where the networks are.
    """

    def __init__(
        self,
        engine: Engine,
        observe: ObservationNormalizer,
        architecture: Architecture,
        distribution: Distribution,
        generators: Sequence[torch.Generator],
        *,
        n_steps: int,
        n_envs: int,
        mine: slice,
        clip_rewards: bool,
        device: torch.device,
    ) -> None:
        self.engine = engine
        self._observe = observe
        self._architecture = architecture
        self._distribution = distribution
        self._generators = tuple(generators)
        self._n_steps, self._n_drawn, self._mine = n_steps, n_envs, mine
        self._n_envs = n_envs = mine.stop - mine.start
        self._clip_rewards = clip_rewards
        self._device = device

        slots = (n_steps, len(self._generators), n_envs)
        self._slots = slots
        self._observations = tuple(
            torch.zeros(n_steps + 1, *slots[1:], *leaf.shape, dtype=leaf.dtype, device=device)
            for leaf in observe.leaves
        )
        self._actions = torch.zeros(*slots, *distribution.action_shape, dtype=distribution.action_dtype, device=device)
        self._tape = Tape(n_steps)
        # The rows of these, taken once: a view costs as much as a small network's layer.
        self._observed = list(zip(*(leaf.unbind() for leaf in self._observations), strict=True))
        self._acted = self._actions.unbind()
        # On the CPU these are the same memory, and moving between host and device is nothing.
        self._host = [tuple(leaf.flatten(0, 1).cpu().numpy() for leaf in row) for row in self._observed]
        self._host_actions = [row.flatten(0, 1).cpu().numpy() for row in self._acted]
        # What the engine gives is gathered on the host, slot by slot, and moved once per rollout.
        flat = (n_steps, slots[1] * n_envs)
        self._raw_rewards, self._rewards = np.zeros(flat, np.float64), np.zeros(flat, np.float32)
        self._terminated, self._truncated = np.zeros(flat, np.bool_), np.zeros(flat, np.bool_)
        self._valid = np.ones(flat, np.bool_)
        gathered = (self._rewards, self._terminated, self._truncated, self._valid)
        self._gathered = [torch.from_numpy(array).view(slots) for array in gathered]

        self._was_done = np.zeros(flat[1], np.bool_)
        self._episode_return = np.zeros(flat[1], np.float64)
        self._episode_length = np.zeros(flat[1], np.int64)
        self._store(n_steps, engine.reset())

    def collect(self) -> Rollout:
        """The next T steps of every environment."""
        self._walk()
        episodes = self._account()
        rewards, terminated, truncated, valid = (tensor.to(self._device) for tensor in self._gathered)
        return Rollout(
            observations=self._observations,
            actions=self._actions,
            rewards=rewards,
            terminated=terminated,
            truncated=truncated,
            valid=valid,
            tape=self._tape,
            episodes=episodes,
        )

    def state(self) -> dict[str, Tensor]:
        """Where every environment stands, `[M, N, ...]` each: the tensors themselves."""
        arrays = {"done": self._was_done, "return": self._episode_return, "length": self._episode_length}
        counted = {name: torch.from_numpy(array).view(self._slots[1:]) for name, array in arrays.items()}
        return counted | {leaf.path: x for leaf, x in zip(self._observe.leaves, self._observed[-1], strict=True)}

    @property
    def generators(self) -> tuple[torch.Generator, ...]:
        """Of action noise, one for each member."""
        return self._generators

    @torch.inference_mode()
    def _walk(self) -> None:
        """Step, and store what comes back."""
        for first, last in zip(self._observed[0], self._observed[-1], strict=True):
            first.copy_(last)
        rows = zip(self._observed, self._draw_noise().unbind(), self._acted, strict=False)
        for t, (observed, noise, acted) in enumerate(rows):
            self._tape.step = t
            policy = self._architecture.policy(self._observe(observed), self._tape)
            acted.copy_(self._distribution.sample(policy, noise))
            step = self.engine.step(self._distribution.to_environment(self._fetch_actions(t)))
            self._store(t + 1, step.observation)
            self._raw_rewards[t], self._terminated[t], self._truncated[t] = step[1:]

    def _fetch_actions(self, t: int) -> np.ndarray[Any, Any]:
        """What was done at a step, on the host, `[M * N, *action_shape]`."""
        if self._device.type != "cpu":
            self._host_actions[t][...] = self._acted[t].flatten(0, 1).cpu().numpy()
        return self._host_actions[t]

    def _draw_noise(self) -> Tensor:
        """`[T, M, N, *noise_shape]`; each member's comes from its own generator, process_group' share of it included."""
        slots = (self._n_steps, self._n_drawn)
        drawn = [self._distribution.draw(slots, generator)[:, self._mine] for generator in self._generators]
        return (drawn[0].unsqueeze(1) if len(drawn) == 1 else torch.stack(drawn, 1)).to(self._device)

    def _store(self, row: int, observation: Any) -> None:
        for leaf, host, stored in zip(self._observe.leaves, self._host[row], self._observed[row], strict=True):
            host[...] = pick(observation, leaf)
            if self._device.type != "cpu":
                stored.copy_(torch.from_numpy(host).view_as(stored))

    def _account(self) -> tuple[Episode, ...]:
        """What follows from the rollout's endings: which slots are resets, and which episodes are over."""
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
            self._count(begin, t + 1)
            begin = t + 1
            episodes += [
                Episode(e // self._n_envs, float(self._episode_return[e]), int(self._episode_length[e]))
                for e in np.flatnonzero(done[t]).tolist()
            ]
            self._episode_return[done[t]] = 0.0
            self._episode_length[done[t]] = 0
        self._count(begin, self._n_steps)
        return tuple(episodes)

    def _count(self, begin: int, end: int) -> None:
        """Add the slots of some steps to the episodes that they belong to."""
        self._episode_return += self._raw_rewards[begin:end].sum(0)
        self._episode_length += self._valid[begin:end].sum(0)
