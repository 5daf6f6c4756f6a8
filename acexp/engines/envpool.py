"""The engine for what envpool has: Gymnasium's environments, rewritten in C++ and stepped in C++ threads."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Self

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from acexp.core.errors import UserError
from acexp.engines.base import ENGINES, EngineConfig, EnvironmentState, Step
from acexp.engines.environment import (
    ATARI_FRAME_SKIP,
    ATARI_MAX_FRAMES,
    ATARI_NOOP_MAX,
    ATARI_SIDE,
    ATARI_STACK,
    EnvironmentConfig,
    is_atari,
    make,
    spec_of,
)
from acexp.engines.threads import worthwhile
from acexp.system.packages import is_installed

EQUAL = ("CartPole-v1", "CliffWalking-v1", "LunarLander-v3", "PongNoFrameskip-v4")
"""What tests compare with Gymnasium's; `auto` takes envpool for nothing else."""

_OWN_SETTINGS = {"num_envs", "batch_size", "num_threads", "seed", "env_seed", "max_episode_steps"}
_ATARI_ELSEWHERE = {"game", "obs_type", "frameskip", "max_num_frames_per_episode"}
_NO_LIMIT = 2**31 - 1


@ENGINES.register("envpool")
class Envpool:
    """Gymnasium's environments rewritten in C++; the same in distribution, not in their random numbers."""

    def __init__(
        self, pool: Any, spaces: tuple[gym.Space[Any], gym.Space[Any]], n_envs: int, max_episode_steps: int | None
    ) -> None:
        self._pool: Any = pool
        self.observation_space, self.action_space = spaces
        self._ids = np.arange(n_envs, dtype=np.int32)
        self._limit = _NO_LIMIT if max_episode_steps is None else max_episode_steps
        self._elapsed = np.zeros(n_envs, np.int64)
        self._done = np.zeros(n_envs, np.bool_)
        self._overdue = np.zeros(n_envs, np.bool_)

    @classmethod
    def cannot_step(cls, environment: EnvironmentConfig) -> str | None:
        if not is_installed("envpool"):
            return "its package is not installed (pip install 'acexp[fast]')"
        import envpool

        task, settings = _task(environment)
        if task not in envpool.list_all_envs():
            return "envpool does not have it"
        unknown = set(settings) - (set(envpool.make_spec(task).config._fields) - _OWN_SETTINGS)
        return f"it does not take env.kwargs {sorted(unknown)}" if unknown else None

    @classmethod
    def is_equal(cls, environment: EnvironmentConfig) -> bool:
        return environment.id in EQUAL and not environment.kwargs

    @classmethod
    def open(cls, environment: EnvironmentConfig, seeds: list[int], config: EngineConfig) -> Self:
        import envpool

        theirs = make(environment)
        spaces = (theirs.observation_space, theirs.action_space)
        limit = theirs.spec.max_episode_steps if theirs.spec else None
        theirs.close()
        if is_atari(environment) and limit is None:
            limit = ATARI_MAX_FRAMES // ATARI_FRAME_SKIP
        task, settings = _task(environment)
        pool = envpool.make_gymnasium(
            task,
            num_envs=len(seeds),
            num_threads=_threads(environment, len(seeds), config.threads),
            env_seed=list(seeds),
            max_episode_steps=_NO_LIMIT if limit is None else limit,
            **settings,
        )
        with warnings.catch_warnings():
            # Gymnasium remarks that envpool writes the bounds of some spaces as float64.
            warnings.simplefilter("ignore")
            its_own = (pool.observation_space, pool.action_space)
        for space, own in zip(spaces, its_own, strict=True):
            if (space.shape, _size(space)) != (own.shape, _size(own)):
                raise UserError(
                    f"envpool's {task} has other spaces than Gymnasium's {environment.id}: {own}, not {space}.",
                    key="engine.name",
                    value=config.name,
                    remedy="leave it to engine=auto",
                )
        return cls(pool, spaces, len(seeds), limit)

    def reset(self) -> Any:
        self._elapsed[:], self._done[:], self._overdue[:] = 0, False, False
        return self._pool.reset()[0]

    def step(self, actions: NDArray[Any]) -> Step:
        if self._overdue.any():
            observation, reward, terminated, truncated = self._step_some(actions)
        else:
            observation, reward, terminated, truncated, _ = self._pool.step(actions)
        self._elapsed += 1
        self._elapsed[self._done] = 0
        # Not every environment of envpool's heeds its time limit.
        self._overdue = (self._elapsed >= self._limit) & ~(terminated | truncated)
        truncated = truncated | self._overdue
        self._done = terminated | truncated
        return Step(observation, reward, terminated, truncated)

    def _step_some(self, actions: NDArray[Any]) -> tuple[Any, ...]:
        """Reset those that ran into our own time limit, and step the others: two calls, whose rows are put together."""
        late, others = self._ids[self._overdue], self._ids[~self._overdue]
        self._pool._reset(late)
        parts = [(late, self._pool.recv())]
        if len(others):
            self._pool.send(actions[others], others)
            parts.append((others, self._pool.recv()))
        whole = [np.empty((len(self._ids), *field.shape[1:]), field.dtype) for field in parts[0][1][:4]]
        for rows, part in parts:
            for field, values in zip(whole, part[:4], strict=True):
                field[rows] = values
        whole[1][late] = 0.0
        return tuple(whole)

    def save(self) -> None:
        return None

    def load(self, states: Sequence[EnvironmentState]) -> None:
        raise NotImplementedError("its environments' state cannot be had")

    def close(self) -> None:
        # The C++ threads end when the last reference goes.
        self._pool = None


def _task(environment: EnvironmentConfig) -> tuple[str, dict[str, Any]]:
    """Envpool's name of an environment, and what it must be told."""
    if not is_atari(environment):
        return environment.id, dict(environment.kwargs)
    arguments = {**spec_of(environment).kwargs, **environment.kwargs}
    game = "".join(part.capitalize() for part in arguments["game"].split("_"))
    passed = {key: value for key, value in arguments.items() if key not in _ATARI_ELSEWHERE}
    return f"{game}-v5", {
        **passed,
        "frame_skip": ATARI_FRAME_SKIP,
        "noop_max": ATARI_NOOP_MAX,
        "img_height": ATARI_SIDE,
        "img_width": ATARI_SIDE,
        "stack_num": ATARI_STACK,
        "episodic_life": False,
        "reward_clip": False,
        "use_fire_reset": True,
    }


def _threads(environment: EnvironmentConfig, n_envs: int, limit: int) -> int:
    """A game's frame is work enough for a thread by itself."""
    return min(limit, n_envs) if is_atari(environment) else worthwhile(n_envs, limit)


def _size(space: gym.Space[Any]) -> int | None:
    return int(space.n) if isinstance(space, gym.spaces.Discrete) else None
