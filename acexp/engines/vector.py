"""Gymnasium's environments as one vector environment, whose errors say which of them failed, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.vector.utils import concatenate, create_empty_array, iterate
from numpy.typing import NDArray

from acexp.core.stopping import ShouldStop, StopRequestedError, never
from acexp.engines.checksum import Checksums
from acexp.engines.contract import (
    RESET,
    STEP,
    FaultyEnvironmentError,
    faulty,
    flaw_of_observation,
    flaw_of_reset,
    flaw_of_step,
    numbers_in,
    raised,
)
from acexp.engines.environment import close_quietly
from acexp.system.user_code import reason

_NOTHING = object()


class VectorEnvironment(SyncVectorEnv):
    """Steps environments in NEXT_STEP mode, as SyncVectorEnv does, without gathering the infos.

    To gather infos takes time, and fails where they differ in shape or are no dicts. Raises FaultyEnvironmentError for
    an environment that raises an exception, or returns what cannot be stored. Each step overwrites the observations.

    Attributes:
        should_stop: Asked before each step of an environment, which raises StopRequestedError once it returns True.
        info_keys, final_info: See Engine.
        checksums: Those of what each environment's episode has shown: observations, rewards, and its end.
    """

    def __init__(self, environment_id: str, factories: Sequence[Callable[[], gym.Env[Any, Any]]]) -> None:
        super().__init__(factories, copy=False, autoreset_mode=AutoresetMode.NEXT_STEP)
        self._id = environment_id
        self.should_stop: ShouldStop = never
        self.info_keys: Sequence[str] = ()
        self.final_info: dict[int, dict[str, float]] = {}
        self.checksums = Checksums(self.num_envs)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset every environment with its own seed, of a list; the infos are empty."""
        seeds = seed if isinstance(seed, list) else [seed] * self.num_envs
        self._autoreset_envs = np.zeros(self.num_envs, np.bool_)
        for i in range(self.num_envs):
            self._reset_one(i, seed=seeds[i], options=options)
        is_reset = np.ones(self.num_envs, np.bool_)
        observations = self._batched(is_reset)
        self.checksums.add(observations, self._rewards.copy(), self._autoreset_envs, is_reset)
        return observations, {}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step every environment, or reset it where its episode has ended; the infos are empty."""
        was_done = self._autoreset_envs
        if self.info_keys:
            self.final_info = {}
        for i, action in enumerate(iterate(self.action_space, actions)):
            if was_done[i]:
                self._reset_one(i)
            else:
                self._step_one(i, action)
        observations = self._batched(was_done)
        self._autoreset_envs = self._terminations | self._truncations
        rewards = self._rewards.copy()
        self.checksums.add(observations, rewards, self._autoreset_envs, was_done)
        return observations, rewards, self._terminations.copy(), self._truncations.copy(), {}

    def replay(self, i: int, seed: int, restore: Callable[[], None] | None, actions: Iterable[Any]) -> int:
        """Play the episode of a single environment again, and return its checksum.

        Args:
            i: Number of the environment.
            seed: The seed of its first episode.
            restore: Sets its random number generator to where a later episode began; None for the first one.
            actions: The actions of the episode, in the form that an environment takes.
        """
        checksums = Checksums(1)
        array: Any = create_empty_array(self.single_observation_space, 1)

        def add(*, is_reset: bool) -> None:
            observations = concatenate(self.single_observation_space, [self._env_obs[i]], array)
            one = slice(i, i + 1)
            ends = self._terminations[one] | self._truncations[one]
            checksums.add(observations, self._rewards[one].copy(), ends, np.array([is_reset]))

        self._reset_one(i, seed=seed)
        if restore is not None:
            restore()
            self._reset_one(i)
        add(is_reset=True)
        for action in actions:
            self._step_one(i, action)
            add(is_reset=False)
        return checksums.values()[0]

    def _reset_one(self, i: int, *, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        result = _NOTHING
        try:
            result = self.envs[i].reset(seed=seed, options=options)
            self._env_obs[i], _ = result
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise self._fault(i, RESET, result, error) from error
        self._rewards[i], self._terminations[i], self._truncations[i] = 0.0, False, False

    def _step_one(self, i: int, action: Any) -> None:
        if self.should_stop():
            raise StopRequestedError
        result = _NOTHING
        try:
            result = self.envs[i].step(action)
            self._env_obs[i], self._rewards[i], self._terminations[i], self._truncations[i], info = result
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise self._fault(i, STEP, result, error) from error
        if self.info_keys and (self._terminations[i] or self._truncations[i]):
            self.final_info[i] = numbers_in(info, self.info_keys)

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
            return raised(self._id, method, error, i, self.envs[i])
        flaw = (flaw_of_reset if method == RESET else flaw_of_step)(result, self.single_observation_space)
        return faulty(self._id, flaw or f"{method} returned what {reason(error)}", method=method, index=i)

    def close_extras(self, **kwargs: Any) -> None:
        """Close every environment."""
        for env in self.envs:
            close_quietly(env)
