"""One environment of an engine, watched: which one has failed, and what its episode has shown so far."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np


class EnvironmentFailedError(Exception):
    """Raised where an environment raises an exception, which is the cause of this one.

    Attributes:
        index: Number of the environment among those of its engine.
        n_envs: Number of environments of the engine.
        method: `reset` or `step`.
    """

    def __init__(self, index: int, n_envs: int, method: str) -> None:
        super().__init__(index, n_envs, method)
        self.index, self.n_envs, self.method = index, n_envs, method

    def __str__(self) -> str:
        cause = self.__cause__
        reason = "" if cause is None else f": {type(cause).__name__}: {cause}"
        return f"environment {self.index} of {self.n_envs} failed in {self.method}(){reason}"

    def member(self, n_members: int) -> int:
        """Return the member of a population that the environment belongs to; each has equally many, in order."""
        return self.index * n_members // self.n_envs


class Watched(gym.Wrapper[Any, Any, Any, Any]):
    """Passes everything on to an environment.

    Args:
        env: The environment.
        index: Its number among those of its engine.
        n_envs: Number of environments of the engine.

    Attributes:
        digest: Checksum of what the current episode has shown: observations, rewards and its end.
    """

    def __init__(self, env: gym.Env[Any, Any], index: int, n_envs: int) -> None:
        super().__init__(env)
        self._index, self._n_envs = index, n_envs
        self.digest = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        try:
            observation, info = self.env.reset(seed=seed, options=options)
        except (Exception, SystemExit) as error:
            raise EnvironmentFailedError(self._index, self._n_envs, "reset") from error
        self.digest = _digest(observation, 0)
        return observation, info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        try:
            observation, reward, terminated, truncated, info = self.env.step(action)
        except (Exception, SystemExit) as error:
            raise EnvironmentFailedError(self._index, self._n_envs, "step") from error
        self.digest = _digest((observation, reward, terminated, truncated), self.digest)
        return observation, reward, terminated, truncated, info


def _digest(value: Any, before: int) -> int:
    """Return the checksum of a value, which may be nested, after that of what came before it."""
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple):
        for part in value:
            before = _digest(part, before)
        return before
    array = np.asarray(value)
    # The bytes of an array of objects are their addresses.
    return zlib.crc32(repr(value).encode() if array.dtype == object else array.tobytes(), before)


def random_state(environment: gym.Env[Any, Any]) -> Any:
    """Return the state of an environment's random number generator as plain values; None if it is none of NumPy's."""
    bits = _bits(environment)
    return None if bits is None else _plain(bits.state)


def restore_random_state(environment: gym.Env[Any, Any], state: Any) -> None:
    """Set the state of an environment's random number generator to one that `random_state` returned."""
    _bits(environment).state = state


def _bits(environment: gym.Env[Any, Any]) -> Any:
    """Return the bit generator of an environment, None if it has none.

    A RandomState of NumPy's older interface hides its own.
    """
    generator: Any = environment.unwrapped.np_random
    return getattr(generator, "bit_generator", None) or getattr(generator, "_bit_generator", None)


def _plain(value: Any) -> Any:
    """Return nested arrays as lists: a checkpoint holds nothing but tensors and plain values."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
