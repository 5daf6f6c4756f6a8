"""The engine that steps anything: Gymnasium's environments, one after the other, in this process."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Self

import gymnasium as gym
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray

from acexp.core.errors import UserError
from acexp.engines.base import ENGINES, EngineConfig, Step
from acexp.engines.environment import EnvironmentConfig, make


@ENGINES.register("gymnasium")
class Gymnasium:
    """Gymnasium's SyncVectorEnv: every environment there is, in one process, without copies."""

    def __init__(self, environments: SyncVectorEnv, seeds: list[int]) -> None:
        self._environments = environments
        self._seeds = seeds
        self.observation_space: gym.Space[Any] = environments.single_observation_space
        self.action_space: gym.Space[Any] = environments.single_action_space

    @classmethod
    def cannot_step(cls, environment: EnvironmentConfig) -> str | None:
        return None

    @classmethod
    def is_equal(cls, environment: EnvironmentConfig) -> bool:
        return True

    @classmethod
    def open(cls, environment: EnvironmentConfig, seeds: list[int], config: EngineConfig) -> Self:
        first = make(environment)
        factories: list[Callable[[], gym.Env[Any, Any]]] = [lambda: first]
        factories += [functools.partial(make, environment)] * (len(seeds) - 1)
        try:
            vector = SyncVectorEnv(factories, copy=False, autoreset_mode=AutoresetMode.NEXT_STEP)
        except (ValueError, TypeError, NotImplementedError, gym.error.Error) as error:
            first.close()
            raise UserError(
                f"{environment.id} cannot be vectorized: its spaces are {first.observation_space} and "
                f"{first.action_space}.",
                key="env.id",
                value=environment.id,
                choices=("Box", "Discrete", "MultiDiscrete", "MultiBinary", "Dict", "Tuple"),
                remedy="wrap the environment so that its spaces are among these",
            ) from error
        return cls(vector, seeds)

    def reset(self) -> Any:
        return self._environments.reset(seed=list(self._seeds))[0]

    def step(self, actions: NDArray[Any]) -> Step:
        observation, reward, terminated, truncated, _ = self._environments.step(actions)
        return Step(observation, reward, terminated, truncated)

    def close(self) -> None:
        self._environments.close()
