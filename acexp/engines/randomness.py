"""The random number generators of environments, and their states as values that a checkpoint can hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np


def generator_at(state: Any) -> np.random.Generator:
    """Return a random number generator like Gymnasium's, in a saved state."""
    generator, _ = gym.utils.seeding.np_random(0)
    generator.bit_generator.state = state
    return generator


def random_state(env: gym.Env[Any, Any]) -> Any:
    """Return the state of an environment's random number generator as plain values; None if it is none of NumPy's."""
    bits = _bits(env)
    return None if bits is None else _plain(bits.state)


def restore_random_state(env: gym.Env[Any, Any], state: Any) -> None:
    """Set the state of an environment's random number generator to one that `random_state` returned."""
    _bits(env).state = state


def _bits(env: gym.Env[Any, Any]) -> Any:
    """Return the bit generator of an environment, None if it has none of NumPy's, or does not show it.

    A RandomState of NumPy's older interface hides its own.
    """
    try:
        generator = env.unwrapped.np_random
        found = getattr(generator, "bit_generator", None) or getattr(generator, "_bit_generator", None)
    except KeyboardInterrupt:
        raise
    except BaseException:  # attributes may be properties, which are anybody's code
        return None
    return found if isinstance(found, np.random.BitGenerator) else None


def _plain(value: Any) -> Any:
    """Return nested arrays as lists: a checkpoint holds nothing but tensors and plain values."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
