"""Steps two instances of an environment a few times before anything is made, and compares them with their spaces."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector.utils import batch_space, iterate
from numpy.typing import NDArray

from acexp.core.configs.engines import EnvironmentConfig
from acexp.core.configs.wrappers import KEY as WRAPPERS_KEY
from acexp.core.distributions import distribution_for
from acexp.core.errors import UserError
from acexp.core.observations import leaves_of, pick
from acexp.engines.contract import (
    RESET,
    STEP,
    FaultyEnvironmentError,
    faulty,
    flaw_of_reset,
    flaw_of_step,
    raised,
    shown,
)
from acexp.engines.environment import close_quietly, make
from acexp.engines.wrappers import in_words

STEPS = 32
SEED = 0
SECONDS = 0.1
"""The time after which an instance takes no further step: some environments are slow."""


class _Moment(NamedTuple):
    """What a call of a method returned, without the infos: the observation's arrays, and of a step the rest."""

    call: str
    observation: list[NDArray[Any]]
    reward: Any = 0.0
    terminated: Any = False
    truncated: Any = False


class _Play(NamedTuple):
    """What one instance of an environment did."""

    observation_space: gym.Space[Any]
    action_space: gym.Space[Any]
    moments: list[_Moment]


def probe(environment: EnvironmentConfig) -> tuple[str, ...]:
    """Play a few steps in two instances of an environment, one after the other; return remarks on it, a line each.

    Both begin with the same seed and take the same actions, so that they show whether runs can be repeated. Raises
    UserError for an environment that cannot be made, or that does what Gymnasium's interface does not allow.
    """
    try:
        first = _play(environment)
    except FaultyEnvironmentError as error:
        raise _with_wrappers(environment, error) from error
    second = _play(environment)
    for name in ("observation_space", "action_space"):
        one, other = getattr(first, name), getattr(second, name)
        if one != other:
            raise faulty(
                environment.id,
                f"{name} differs between two instances: {shown(one)} and {shown(other)}. "
                "All environments of a run have the same spaces",
            )
    difference = _difference(first, second)
    if difference is None:
        return ()
    return (
        f"{environment.id}: its runs cannot be repeated: with the same seed and actions, two instances differ in "
        f"{difference}.",
    )


def _play(environment: EnvironmentConfig) -> _Play:
    env = make(environment)
    try:
        spaces = _spaces(environment, env)
        return _Play(*spaces, list(_moments(environment, env, *spaces)))
    finally:
        close_quietly(env)


def _with_wrappers(environment: EnvironmentConfig, error: FaultyEnvironmentError) -> FaultyEnvironmentError:
    """Return the error for a wrapped environment; raise that of the environment if it is faulty by itself."""
    if not environment.wrappers:
        return error
    try:
        _play(replace(environment, wrappers=[]))
    except FaultyEnvironmentError:
        raise
    except UserError:
        pass  # the wrappers may replace what acexp does not support
    if error.key == WRAPPERS_KEY:
        return error
    return replace(
        error,
        key=WRAPPERS_KEY,
        value=", ".join(map(in_words, environment.wrappers)),
        remedy="mend the wrappers; the environment without them is not at fault",
    )


def _spaces(environment: EnvironmentConfig, env: gym.Env[Any, Any]) -> tuple[gym.Space[Any], gym.Space[Any]]:
    """Return the spaces of an environment; raises UserError for those that no network can be built for."""
    found = {}
    for name in ("observation_space", "action_space"):
        try:
            found[name] = getattr(env, name)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise raised(environment.id, name, error, env=env) from error
        if not isinstance(found[name], gym.Space):
            raise faulty(environment.id, f"{name} is {shown(found[name])}, which is no space of Gymnasium's")
    observation_space, action_space = found["observation_space"], found["action_space"]
    if not leaves_of(observation_space):
        raise faulty(environment.id, f"observation_space has no values: {shown(observation_space)}")
    if not distribution_for(action_space).n_parameters:
        raise faulty(environment.id, f"action_space has no dimensions: {shown(action_space)}")
    return observation_space, action_space


def _moments(
    environment: EnvironmentConfig,
    env: gym.Env[Any, Any],
    observation_space: gym.Space[Any],
    action_space: gym.Space[Any],
) -> Iterator[_Moment]:
    """Reset the environment, step it a few times, and yield copies of what it returns."""

    def checked(method: str, call: Callable[[], Any]) -> Any:
        try:
            result = call()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise raised(environment.id, method, error, env=env) from error
        flaw = (flaw_of_reset if method == RESET else flaw_of_step)(result, observation_space)
        if flaw is not None:
            raise faulty(environment.id, flaw, method=method)
        # Copied, since environments may reuse their arrays.
        return [np.array(pick(result[0], leaf)) for leaf in leaves], *result[1:-1]

    leaves = leaves_of(observation_space)
    deadline = time.monotonic() + SECONDS
    yield _Moment(RESET, *checked(RESET, partial(env.reset, seed=SEED)))
    for n, action in enumerate(_actions(action_space), start=1):
        moment = _Moment(f"{STEP} number {n}", *checked(STEP, partial(env.step, action)))
        yield moment
        if moment.terminated or moment.truncated:
            yield _Moment(f"{RESET} after step {n}", *checked(RESET, env.reset))
        if time.monotonic() > deadline:
            return


def _actions(space: gym.Space[Any]) -> Iterator[Any]:
    """Return actions such as an untrained policy would sample, always the same."""
    distribution = distribution_for(space)
    noise = distribution.draw((STEPS,), torch.Generator().manual_seed(SEED))
    sampled = distribution.sample(torch.zeros(STEPS, distribution.n_parameters), noise)
    return iterate(batch_space(space, STEPS), distribution.to_environment(sampled.numpy()))


def _difference(first: _Play, second: _Play) -> str | None:
    """Return in which of their moments two instances differ first; one may have taken more steps than the other."""
    for one, other in zip(first.moments, second.moments, strict=False):
        if not all(map(np.array_equal, one.observation, other.observation)):
            return f"the observation of {one.call}"
        if one.reward != other.reward:
            return f"the reward of {one.call}"
        if (one.terminated, one.truncated) != (other.terminated, other.truncated):
            return f"the end of the episode at {one.call}"
    return None
