"""The engine for the environments of envpool, which are rewritten in C++ and stepped in C++ threads."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, Self

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from acexp.core.configs.engines import EngineConfig, EnvironmentConfig
from acexp.core.errors import UserError
from acexp.engines.base import ENGINES, EngineBase, Step
from acexp.engines.clock import EpisodeClock
from acexp.engines.environment import (
    ATARI_MAX_FRAMES,
    ATARI_NOOP_MAX,
    ATARI_SIDE,
    ATARI_STACK,
    frame_skip,
    is_atari,
    make,
    spec_of,
)
from acexp.system.packages import Package
from acexp.system.user_code import reason

EQUAL = ("CartPole-v1", "CliffWalking-v1", "LunarLander-v3", "PongNoFrameskip-v4")
"""The environments that tests compare with Gymnasium's; `auto` takes envpool for no others."""

ENVIRONMENTS_PER_THREAD = 8
"""Smallest number of environments per thread: waking a thread takes as long as 5 to 10 steps of a small simulator."""

_OWN_SETTINGS = {"num_envs", "batch_size", "num_threads", "seed", "env_seed", "max_episode_steps"}
_ATARI_ELSEWHERE = {"game", "obs_type", "frameskip", "max_num_frames_per_episode"}
_NO_LIMIT = 2**31 - 1


@ENGINES.register("envpool")
class Envpool(EngineBase):
    """Steps environments that envpool rewrote in C++; equal to Gymnasium's in distribution, not in random numbers."""

    packages: ClassVar[tuple[Package, ...]] = (
        Package("envpool", "LunarLander and CartPole faster (optional)", "pip install 'acexp[fast]'"),
    )
    preference = 20

    def __init__(
        self, pool: Any, spaces: tuple[gym.Space[Any], gym.Space[Any]], n_envs: int, max_episode_steps: int | None
    ) -> None:
        self._pool: Any = pool
        self.observation_space, self.action_space = spaces
        self._ids = np.arange(n_envs, dtype=np.int32)
        self._clock = EpisodeClock(n_envs, max_episode_steps)
        self._overdue = np.zeros(n_envs, np.bool_)

    @classmethod
    def cannot_step(cls, environment: EnvironmentConfig) -> str | None:
        missing = super().cannot_step(environment)
        if missing is not None:
            return missing
        try:
            import envpool

            known = envpool.list_all_envs()
        except Exception as error:  # an installation that was interrupted, or is of another Python
            return f"its package cannot be used: {reason(error)} (pip install --force-reinstall envpool)"
        task, settings = _task(environment)
        if task not in known:
            return "envpool does not have it"
        unknown = set(settings) - (set(envpool.make_spec(task).config._fields) - _OWN_SETTINGS)
        return f"it does not take env.kwargs {sorted(unknown)}" if unknown else None

    @classmethod
    def is_equal(cls, environment: EnvironmentConfig) -> bool:
        return environment.id in EQUAL and not environment.kwargs

    @classmethod
    def open(cls, environment: EnvironmentConfig, seeds: list[int], config: EngineConfig) -> Self:
        import envpool

        original = make(environment)
        spaces = (original.observation_space, original.action_space)
        limit = original.spec.max_episode_steps if original.spec else None
        original.close()
        if is_atari(environment) and limit is None:
            limit = ATARI_MAX_FRAMES // frame_skip(environment)
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
            # Gymnasium warns that envpool gives the bounds of some spaces as float64.
            warnings.simplefilter("ignore")
            pool_spaces = (pool.observation_space, pool.action_space)
        for space, own in zip(spaces, pool_spaces, strict=True):
            if (space.shape, _size(space)) != (own.shape, _size(own)):
                raise UserError(
                    f"envpool's {task} has other spaces than Gymnasium's {environment.id}: {own}, not {space}.",
                    key="engine.name",
                    value=config.name,
                    remedy="set engine=auto",
                )
        return cls(pool, spaces, len(seeds), limit)

    def reset(self) -> Any:
        self._clock.reset()
        self._overdue[:] = False
        return self._pool.reset()[0]

    def step(self, actions: NDArray[Any]) -> Step:
        if self._overdue.any():
            observation, reward, terminated, truncated = self._step_some(actions)
        else:
            observation, reward, terminated, truncated, _ = self._pool.step(actions)
        self._clock.count()
        # Some of envpool's environments ignore their time limit.
        self._overdue = (self._clock.elapsed >= self._clock.limit) & ~(terminated | truncated)
        truncated = truncated | self._overdue
        self._clock.done = terminated | truncated
        return Step(observation, reward, terminated, truncated)

    def _step_some(self, actions: NDArray[Any]) -> tuple[Any, ...]:
        """Reset the environments that reached the time limit here, and step the others; both results are merged."""
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

    def close(self) -> None:
        # The C++ threads end with the last reference to the pool.
        self._pool = None


def _task(environment: EnvironmentConfig) -> tuple[str, dict[str, Any]]:
    """Return envpool's name of an environment, and its settings."""
    if not is_atari(environment):
        return environment.id, dict(environment.kwargs)
    arguments = {**spec_of(environment).kwargs, **environment.kwargs}
    game = "".join(part.capitalize() for part in arguments["game"].split("_"))
    passed = {key: value for key, value in arguments.items() if key not in _ATARI_ELSEWHERE}
    return f"{game}-v5", {
        **passed,
        "frame_skip": frame_skip(environment),
        "noop_max": ATARI_NOOP_MAX,
        "img_height": ATARI_SIDE,
        "img_width": ATARI_SIDE,
        "stack_num": ATARI_STACK,
        "episodic_life": False,
        "reward_clip": False,
        "use_fire_reset": True,
    }


def _threads(environment: EnvironmentConfig, n_envs: int, limit: int) -> int:
    """Return the number of threads that is fastest; one frame of an Atari game is enough work for a thread."""
    return max(1, min(limit, n_envs if is_atari(environment) else n_envs // ENVIRONMENTS_PER_THREAD))


def _size(space: gym.Space[Any]) -> int | None:
    return int(space.n) if isinstance(space, gym.spaces.Discrete) else None
