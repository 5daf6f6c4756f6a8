"""What Gymnasium's interface asks of an environment, and the error for an environment that does otherwise.

What is accepted is what the vector engine can take: numbers of any kind that its arrays can hold, not only those of the
space's own dtype. Values outside the bounds of a Box are accepted, since many environments leave them a little.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from acexp.core.configs.wrappers import KEY as WRAPPERS_KEY
from acexp.core.errors import UserError
from acexp.engines.wrappers import wrapper_at_fault
from acexp.system.user_code import place_in_code, place_in_traceback, reason

RESET, STEP = "reset()", "step()"
LARGEST_REWARD = float(np.finfo(np.float32).max)
REWARD_RULE = f"a reward is one finite number, of at most {LARGEST_REWARD:.1e}"
FINITE_RULE = "observations are finite numbers"
RANGE_RULE = "observations lie in their space"
RESULTS = {
    RESET: "reset(*, seed=None, options=None) returns (observation, info)",
    STEP: "step(action) returns (observation, reward, terminated, truncated, info)",
}
LONGEST_VALUE = 80


@dataclass(eq=False)
class FaultyEnvironmentError(UserError):
    """An environment that raised an exception or returned what Gymnasium's interface does not allow.

    Attributes:
        index: Number of the environment among those of its engine; None where that is not known.
        member: Number of the population's member that the environment belongs to; None where that is not known.
        slot: The env step of the member's rollout at which it happened, counted from 1; 0 in an evaluation.
    """

    index: int | None = None
    member: int | None = None
    slot: int = 0

    def __reduce__(self) -> tuple[type[UserError], tuple[object, ...]]:
        """Return the class and all fields, see UserError."""
        return type(self), (*super().__reduce__()[1], self.index, self.member, self.slot)

    def during_training(self, environment_id: str, seed: int, step: int) -> str:
        """Return the error in words: with the seed of the member's run and its env step, where the member is known.

        `step` is the env step at which the rollout began.
        """
        if self.member is None:
            return str(self)
        problem = self.problem.removeprefix(f"{environment_id}: ")
        when = f"env step {step + self.slot:,}" if self.slot else f"evaluation at env step {step:,}"
        place = f"\n  place: {self.place}" if self.place else ""
        return f"{environment_id}, seed {seed}, {when}: {problem}{place}"


def faulty(
    environment_id: str, problem: str, *, method: str | None = None, place: str | None = None, index: int | None = None
) -> FaultyEnvironmentError:
    """Return the error for an environment with this problem, with what its method has to return as the remedy."""
    rule = f": {RESULTS[method]}" if method in RESULTS else ""
    return FaultyEnvironmentError(
        f"{environment_id}: {problem}",
        key="env.id",
        value=environment_id,
        place=place,
        remedy=f"mend the environment{rule}; `acexp doctor env=gym env.id={environment_id}` checks it",
        index=index,
    )


def raised(
    environment_id: str,
    method: str,
    error: BaseException,
    index: int | None = None,
    env: gym.Env[Any, Any] | None = None,
) -> FaultyEnvironmentError:
    """Return the error for an exception that a method of an environment raised, or of one of its wrappers.

    Args:
        environment_id: The id in the config.
        method: Name of the method.
        error: The exception.
        index: Number of the environment among those of its engine, if it is known.
        env: The environment in its wrappers, among which the one that raised the exception is looked for.
    """
    found = None if env is None else wrapper_at_fault(env, error)
    problem = f"{method} failed: {reason(error)}"
    if found is None:
        return faulty(environment_id, problem, method=method, place=place_in_code(error), index=index)
    wrapper, traceback = found
    name = type(wrapper).__name__
    return FaultyEnvironmentError(
        f"{environment_id}: its wrapper {name} failed in {problem.replace(' failed', '', 1)}",
        key=WRAPPERS_KEY,
        value=name,
        place=place_in_traceback(traceback),
        remedy="mend the wrapper, or leave it out",
        index=index,
    )


def flaw_of_reset(result: Any, space: gym.Space[Any]) -> str | None:
    """Return what is wrong with the result of `reset`, None if nothing is."""
    if not isinstance(result, tuple | list) or len(result) != 2:
        return f"{RESET} returned {shown(result)}, which is no pair (observation, info)"
    return flaw_of_observation(result[0], space, RESET)


def flaw_of_step(result: Any, space: gym.Space[Any]) -> str | None:
    """Return what is wrong with the result of `step`, None if nothing is."""
    if not isinstance(result, tuple | list) or len(result) != 5:
        return f"{STEP} returned {shown(result)}, which are not the five values of Gymnasium's interface"
    observation, reward, terminated, truncated, _ = result
    flaw = flaw_of_observation(observation, space, STEP)
    if flaw is not None:
        return flaw
    if not _is_reward(reward):
        return f"{STEP} returned the reward {shown(reward)}; {REWARD_RULE}"
    for name, value in (("terminated", terminated), ("truncated", truncated)):
        if not _is_flag(value):
            return f"{STEP} returned {name}={shown(value)}; it is True or False"
    return None


def flaw_of_observation(observation: Any, space: gym.Space[Any], method: str, path: str = "observation") -> str | None:
    """Return what is wrong with an observation that this method returned, None if nothing is."""
    parts: list[tuple[Any, gym.Space[Any], str]] = []
    why: str | None = None
    match space:
        case spaces.Dict():
            if not isinstance(observation, Mapping):
                why = "it is no dict"
            elif missing := [key for key in space.spaces if key not in observation]:
                why = f"it has no {', '.join(map(repr, missing))}"
            else:
                parts = [(observation[key], part, f"{path}[{key!r}]") for key, part in space.spaces.items()]
        case spaces.Tuple():
            if not isinstance(observation, tuple | list) or len(observation) != len(space.spaces):
                why = f"it is no tuple of {len(space.spaces)} values"
            else:
                pairs = zip(observation, space.spaces, strict=True)
                parts = [(value, part, f"{path}[{i}]") for i, (value, part) in enumerate(pairs)]
        case _:
            why = _flaw_of_array(observation, space)
    if why is not None:
        return f"{method} returned the {path} {shown(observation)}: {why}; its space is {shown(space)}"
    flaws = (flaw_of_observation(value, part, method, name) for value, part, name in parts)
    return next((flaw for flaw in flaws if flaw is not None), None)


def _flaw_of_array(value: Any, space: gym.Space[Any]) -> str | None:
    array = _array(value)
    if array is None or array.dtype.kind not in "biuf":
        return "it is no array of numbers"
    if array.shape != space.shape:
        return f"its shape is {array.shape}, not {space.shape}"
    if not np.can_cast(array.dtype, space.dtype or array.dtype, "same_kind"):
        return f"its dtype is {array.dtype}, which is not converted to {space.dtype}"
    if not np.isfinite(array).all():
        return "it is not finite"
    low, high = _range(space)
    return None if bool(np.all((array >= low) & (array <= high))) else "it lies outside of its space"


def _range(space: gym.Space[Any]) -> tuple[Any, Any]:
    """Return the smallest and the largest value that can be encoded; those of a Box can all be."""
    match space:
        case spaces.Discrete():
            return space.start, space.start + space.n - 1
        case spaces.MultiDiscrete():
            return space.start, space.start + space.nvec - 1
        case spaces.MultiBinary():
            return 0, 1
    return -math.inf, math.inf


def _array(value: Any) -> NDArray[Any] | None:
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        return None


def _is_reward(value: Any) -> bool:
    """Return True for what becomes a finite number when it is written into an array of float32."""
    array = _array(value)
    if array is None or array.ndim or array.dtype.kind in "USM":
        return False
    try:
        return abs(float(value)) <= LARGEST_REWARD
    except (TypeError, ValueError, OverflowError):
        return False


def numbers_in(info: Any, keys: Sequence[str]) -> dict[str, float]:
    """Return those values of an environment's info that are finite numbers, or arrays of a single one."""
    found = {}
    for key in keys if isinstance(info, dict) else ():
        array = _array(info.get(key))
        if array is not None and array.size == 1 and array.dtype.kind in "biuf" and math.isfinite(array.item()):
            found[key] = float(array.item())
    return found


def _is_flag(value: Any) -> bool:
    array = _array(value)
    if array is None or array.ndim or array.dtype.kind not in "biu":
        return False
    return int(array) in (0, 1)


def shown(value: Any) -> str:
    """Return a value in one short line."""
    try:
        text = str(value) if isinstance(value, gym.Space) else repr(value)
    except Exception as error:
        text = f"of type {type(value).__name__}, which cannot be shown ({reason(error)})"
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_VALUE else f"{line[: LONGEST_VALUE - 3]}..."
