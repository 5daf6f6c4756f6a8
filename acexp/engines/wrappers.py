"""The wrappers of an environment: classes of gymnasium.wrappers or of a user's module, applied in order."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, TypeGuard

import gymnasium as gym
import numpy as np

from acexp.core.configs.wrappers import KEY, NAME
from acexp.core.errors import UserError
from acexp.system.user_code import import_users, place_in_code, reason


def wrapped(env: gym.Env[Any, Any], wrappers: Sequence[Mapping[str, Any]]) -> gym.Env[Any, Any]:
    """Return an environment in its wrappers, the first one innermost; raises UserError for one that cannot be applied.

    The environment is closed where one cannot.
    """
    try:
        for wrapper in wrappers:
            env = _apply(env, wrapper)
    except UserError:
        with suppress(Exception):
            env.close()
        raise
    return env


def _apply(env: gym.Env[Any, Any], wrapper: Mapping[str, Any]) -> gym.Env[Any, Any]:
    cls = _class_of(wrapper[NAME])
    _require_arguments(cls, wrapper)
    try:
        result: gym.Env[Any, Any] = cls(env, **_arguments(cls, wrapper))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the constructor may be anybody's
        raise UserError(
            f"The wrapper {wrapper[NAME]} cannot be applied to {env}: {reason(error)}",
            key=KEY,
            value=in_words(wrapper),
            place=place_in_code(error),
            remedy="compare its arguments with its documentation, and what it needs with `acexp inspect` of the "
            "environment without it",
        ) from error
    return result


def _require_arguments(cls: type, wrapper: Mapping[str, Any]) -> None:
    """Raise UserError for arguments that the constructor of a wrapper does not have, or that are missing."""
    parameters = _parameters(cls)
    given = [key for key in wrapper if key != NAME]
    named = {key: each for key, each in parameters.items() if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)}
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    unknown = [key for key in given if key not in named and not takes_any]
    missing = [key for key, each in named.items() if each.default is each.empty and key not in given]
    if unknown or missing:
        problem = f"has no argument {unknown[0]!r}" if unknown else f"needs the argument {missing[0]!r}"
        plain = inspect.Signature([each.replace(annotation=each.empty) for each in parameters.values()])
        raise UserError(
            f"The wrapper {wrapper[NAME]} {problem}.",
            key=KEY,
            value=unknown[0] if unknown else in_words(wrapper),
            choices=tuple(named),
            remedy=f"its arguments are {plain}" if named else "it takes no arguments",
        )


def _parameters(cls: type) -> dict[str, inspect.Parameter]:
    """Return the parameters of a wrapper's constructor, without the environment."""
    return dict(list(inspect.signature(cls).parameters.items())[1:])


def _class_of(name: str) -> type[gym.Wrapper[Any, Any, Any, Any]]:
    """Return the class that a name means; raises UserError if it cannot be imported, or is no wrapper."""
    module, _, class_name = name.rpartition(":")
    if not module:
        cls = getattr(gym.wrappers, name)
        assert _is_wrapper(cls)
        return cls
    import_users(module, f"The module {module!r} of a wrapper", KEY)
    members = vars(sys.modules[module])
    cls = members.get(class_name)
    if not _is_wrapper(cls):
        what = "has no" if cls is None else "has something else than a wrapper of Gymnasium's as its"
        raise UserError(
            f"The module {module!r} {what} {class_name!r}.",
            key=KEY,
            value=class_name,
            choices=tuple(each for each, value in members.items() if _is_wrapper(value)),
            remedy="a wrapper is a class that inherits from gymnasium.Wrapper",
        )
    return cls


def _is_wrapper(value: object) -> TypeGuard[type[gym.Wrapper[Any, Any, Any, Any]]]:
    return isinstance(value, type) and issubclass(value, gym.Wrapper)


def _arguments(cls: type, wrapper: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a wrapper's constructor.

    A list is an array where the constructor's annotation says so, and otherwise a tuple, which Gymnasium's wrappers ask
    for.
    """
    parameters = _parameters(cls)

    def converted(key: str, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        takes_an_array = key in parameters and "ndarray" in str(parameters[key].annotation)
        return np.array(value) if takes_an_array else tuple(value)

    return {key: converted(key, value) for key, value in wrapper.items() if key != NAME}


def in_words(wrapper: Mapping[str, Any]) -> str:
    """Return a wrapper as a call: `FrameStackObservation(stack_size=4)`."""
    return f"{wrapper[NAME]}({', '.join(f'{key}={value!r}' for key, value in wrapper.items() if key != NAME)})"


def as_code(wrappers: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return lines of code that put `env` into its wrappers, as `wrapped` does.

    They need gymnasium, numpy and `modules_of` the wrappers imported.
    """
    lines = []
    for wrapper in wrappers:
        module, _, name = wrapper[NAME].rpartition(":")
        given = _arguments(_class_of(wrapper[NAME]), wrapper)
        arguments = ", ".join(["env", *(f"{key}={_value_as_code(value)}" for key, value in given.items())])
        lines.append(f"env = {module or 'gymnasium.wrappers'}.{name}({arguments})")
    return lines


def _value_as_code(value: Any) -> str:
    return f"numpy.array({value.tolist()!r})" if isinstance(value, np.ndarray) else repr(value)


_PASSING_ON = (gym.wrappers.OrderEnforcing, gym.wrappers.PassiveEnvChecker, gym.wrappers.TimeLimit)
"""The wrappers that `gymnasium.make` adds; they fail only because of what they are given."""


def wrapper_at_fault(
    env: gym.Env[Any, Any], error: BaseException
) -> tuple[gym.Wrapper[Any, Any, Any, Any], TracebackType] | None:
    """Return the wrapper in whose method an exception was raised, and the traceback from there on.

    Return None where it was raised by the environment itself, which is the innermost layer.
    """
    layers = [env]
    while isinstance(layers[-1], gym.Wrapper):
        layers.append(layers[-1].env)
    found: tuple[Any, TracebackType] | None = None
    traceback = error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        first = frame.f_locals.get(frame.f_code.co_varnames[0]) if frame.f_code.co_argcount else None
        if any(first is layer for layer in layers):
            found = first, traceback
        traceback = traceback.tb_next
    if found is None or not isinstance(found[0], gym.Wrapper) or isinstance(found[0], _PASSING_ON):
        return None
    return found
