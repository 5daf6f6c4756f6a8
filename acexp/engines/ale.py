"""The engine for Atari games: ale-py's C++ vector environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from acexp.core.configs.engines import EngineConfig, EnvironmentConfig
from acexp.engines.base import ENGINES, EngineBase, Step
from acexp.engines.environment import (
    ATARI_MAX_FRAMES,
    ATARI_NOOP_MAX,
    ATARI_SIDE,
    ATARI_STACK,
    frame_skip,
    is_atari,
    spec_of,
)
from acexp.system.packages import Package

if TYPE_CHECKING:
    from ale_py.vector_env import AtariVectorEnv

_SUPPORTED_KWARGS = {"game", "repeat_action_probability", "full_action_space", "frameskip"}


@ENGINES.register("ale")
class Ale(EngineBase):
    """Steps Atari games in C++ threads, with the standard preprocessing built in."""

    packages: ClassVar[tuple[Package, ...]] = (Package("ale-py", "Atari games", "pip install ale-py"),)
    preference = 40

    def __init__(self, environments: AtariVectorEnv, seeds: list[int]) -> None:
        self._environments: AtariVectorEnv | None = environments
        self._seeds = np.asarray(seeds, np.int32)
        self.observation_space: gym.Space[Any] = environments.single_observation_space
        self.action_space: gym.Space[Any] = environments.single_action_space

    @classmethod
    def cannot_step(cls, environment: EnvironmentConfig) -> str | None:
        missing = super().cannot_step(environment)
        if missing is not None:
            return missing
        if not is_atari(environment):
            return "it steps Atari games only"
        unsupported = set(environment.kwargs) - _SUPPORTED_KWARGS
        return f"it does not take env.kwargs {sorted(unsupported)}" if unsupported else None

    @classmethod
    def open(cls, environment: EnvironmentConfig, seeds: list[int], config: EngineConfig) -> Self:
        from ale_py.vector_env import AtariVectorEnv

        arguments = dict(spec_of(environment).kwargs) | environment.kwargs
        limit, skip = environment.max_episode_steps, frame_skip(environment)
        vector = AtariVectorEnv(
            arguments["game"],
            len(seeds),
            num_threads=config.threads,
            max_num_frames_per_episode=ATARI_MAX_FRAMES if limit is None else limit * skip,
            repeat_action_probability=arguments["repeat_action_probability"],
            full_action_space=arguments["full_action_space"],
            autoreset_mode=AutoresetMode.NEXT_STEP,
            img_height=ATARI_SIDE,
            img_width=ATARI_SIDE,
            stack_num=ATARI_STACK,
            frameskip=skip,
            noop_max=ATARI_NOOP_MAX,
            episodic_life=False,
            reward_clipping=False,
            use_fire_reset=True,
        )
        return cls(vector, seeds)

    def reset(self) -> Any:
        assert self._environments is not None
        return self._environments.reset(seed=self._seeds)[0]

    def step(self, actions: NDArray[Any]) -> Step:
        assert self._environments is not None
        observation, reward, terminated, truncated, _ = self._environments.step(actions)
        return Step(observation, reward, terminated, truncated)

    def close(self) -> None:
        # The C++ threads end with the last reference to the object; AtariVectorEnv has no method that ends them.
        self._environments = None
