"""Gymnasium's environments as one vector environment, whose errors say which of them failed, and how."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.vector.utils import concatenate, iterate
from numpy.typing import NDArray

from acexp.engines.contract import (
    RESET,
    STEP,
    FaultyEnvironmentError,
    faulty,
    flaw_of_observation,
    flaw_of_reset,
    flaw_of_step,
    raised,
)
from acexp.engines.environment import close_quietly
from acexp.system.user_code import reason

_NOTHING = object()


class VectorEnvironment(SyncVectorEnv):
    """Steps environments in NEXT_STEP mode, as SyncVectorEnv does, without the infos, which nothing here reads.

    To gather infos takes time, and fails where they differ in shape or are no dicts. Raises FaultyEnvironmentError for
    an environment that raises an exception, or returns what cannot be stored. Each step overwrites the observations.

    Attributes:
        digests: A checksum for each environment of what its episode has shown: observations, rewards and its end.
    """

    def __init__(self, environment_id: str, factories: Sequence[Callable[[], gym.Env[Any, Any]]]) -> None:
        super().__init__(factories, copy=False, autoreset_mode=AutoresetMode.NEXT_STEP)
        self._id = environment_id
        self.digests = [0] * self.num_envs

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset every environment with its own seed, of a list; the infos are empty."""
        seeds = seed if isinstance(seed, list) else [seed] * self.num_envs
        self._autoreset_envs[:] = False
        for i in range(self.num_envs):
            self.reset_one(i, seed=seeds[i], options=options)
        return self._batched(np.ones(self.num_envs, np.bool_)), {}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step every environment, or reset it where its episode has ended; the infos are empty."""
        was_done = self._autoreset_envs
        for i, action in enumerate(iterate(self.action_space, actions)):
            if was_done[i]:
                self.reset_one(i)
            else:
                self.step_one(i, action)
        observations = self._batched(was_done)
        self._autoreset_envs = self._terminations | self._truncations
        return observations, self._rewards.copy(), self._terminations.copy(), self._truncations.copy(), {}

    def reset_one(self, i: int, *, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Reset a single environment."""
        result = _NOTHING
        try:
            result = self.envs[i].reset(seed=seed, options=options)
            self._env_obs[i], _ = result
            self.digests[i] = _digest(self._env_obs[i], 0)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise self._fault(i, RESET, result, error) from error
        self._rewards[i], self._terminations[i], self._truncations[i] = 0.0, False, False

    def step_one(self, i: int, action: Any) -> None:
        """Step a single environment, whose episode has not ended."""
        result = _NOTHING
        try:
            result = self.envs[i].step(action)
            self._env_obs[i], self._rewards[i], self._terminations[i], self._truncations[i], _ = result
            self.digests[i] = _digest(tuple(result[:4]), self.digests[i])
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise self._fault(i, STEP, result, error) from error

    def _batched(self, is_reset: NDArray[np.bool_]) -> Any:
        """Write the observations of all environments into the arrays of the batch."""
        try:
            self._observations = concatenate(self.single_observation_space, self._env_obs, self._observations)
        except Exception as error:
            raise self._misfit(is_reset, error) from error
        return self._observations

    def _misfit(self, is_reset: NDArray[np.bool_], error: Exception) -> FaultyEnvironmentError:
        """Return the error for the first environment whose observation does not fit into the batch."""
        for i, observation in enumerate(self._env_obs):
            method = RESET if is_reset[i] else STEP
            flaw = flaw_of_observation(observation, self.single_observation_space, method)
            if flaw is not None:
                return faulty(self._id, flaw, method=method, index=i)
        return faulty(self._id, f"an observation cannot be stored: {reason(error)}")

    def _fault(self, i: int, method: str, result: Any, error: BaseException) -> FaultyEnvironmentError:
        if result is _NOTHING:
            return raised(self._id, method, error, i)
        flaw = (flaw_of_reset if method == RESET else flaw_of_step)(result, self.single_observation_space)
        return faulty(self._id, flaw or f"{method} returned what {reason(error)}", method=method, index=i)

    def close_extras(self, **kwargs: Any) -> None:
        """Close every environment."""
        for env in self.envs:
            close_quietly(env)


def _digest(value: Any, before: int) -> int:
    """Return the checksum of a value, which may be nested, after that of what came before it."""
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        for part in value:
            before = _digest(part, before)
        return before
    array = np.asarray(value)
    # The bytes of an array of objects are their addresses.
    return zlib.crc32(repr(value).encode() if array.dtype == object else array.tobytes(), before)
