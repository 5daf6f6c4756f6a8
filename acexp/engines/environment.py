"""The config of an environment, and functions that make it with Gymnasium."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec

from acexp.core.configs.engines import NO_LIMIT, EnvironmentConfig
from acexp.core.configs.wrappers import modules_of
from acexp.core.errors import UserError, nearest
from acexp.engines.contract import FaultyEnvironmentError
from acexp.engines.wrappers import as_code as wrappers_as_code
from acexp.engines.wrappers import wrapped
from acexp.system.packages import is_installed
from acexp.system.user_code import import_users, place_in_code, reason

ATARI_FRAME_SKIP = 4
ATARI_MAX_FRAMES = 108_000
ATARI_NOOP_MAX = 30
ATARI_SIDE = 84
ATARI_STACK = 4


OWN, OWN_MUJOCO = "gymnasium.envs.", "gymnasium.envs.mujoco."
"""What the entry points of Gymnasium's own environments begin with, and those of its MuJoCo tasks."""


def prepare_libraries(environment_id: str) -> None:
    """Register the Atari ids, and disable the banners and log files that simulators write by themselves.

    Of the simulators, which take a while to import, an environment of Gymnasium's own has at most MuJoCo; any other
    may use both. Each process that makes environments calls this first; calling it again does nothing new.
    """
    spec = gym.registry.get(environment_id)
    home = "" if spec is None else str(spec.entry_point)
    if not home.startswith(OWN):
        _prepare_ale()
    if not home.startswith(OWN) or home.startswith(OWN_MUJOCO):
        _prepare_mujoco()


def _prepare_ale() -> None:
    with suppress(ImportError):
        import ale_py

        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
        if "ALE/Pong-v5" not in gym.registry:
            gym.register_envs(ale_py)


def _prepare_mujoco() -> None:
    # Importing mujoco raises RuntimeError if MUJOCO_GL has an unknown value.
    with suppress(ImportError, RuntimeError):
        import mujoco

        # Without a handler, MuJoCo prints its warnings and appends them to MUJOCO_LOG.TXT in the working directory.
        mujoco.set_mju_user_warning(lambda message: None)


def spec_of(environment: EnvironmentConfig) -> EnvSpec:
    """Return Gymnasium's registration of the environment; raises UserError, with similar ids, if there is none."""
    prepare_libraries(environment.id)
    module, _, name = environment.id.rpartition(":")
    if module:
        import_users(module, f"The module {module!r} of the environment's id", "env.id")
    try:
        return gym.spec(name)
    except gym.error.Error as error:
        raise UserError(
            f"Gymnasium has no environment {environment.id!r}.",
            key="env.id",
            value=environment.id,
            choices=_ids_like(name),
            remedy="`python -c 'import gymnasium; gymnasium.pprint_registry()'` lists the ids; "
            "one of your own is registered by a module named in plugins=[...]"
            + ("" if is_installed("ale_py") else "; Atari games need `pip install ale-py`"),
        ) from error


def _ids_like(environment_id: str) -> tuple[str, ...]:
    """Return the known ids with this name, or else with the most similar one; versions are not compared."""
    ids: dict[str, list[str]] = {}
    for known in gym.registry:
        ids.setdefault(_without_version(known), []).append(known)
    near = nearest(_without_version(environment_id), ids)
    return tuple(ids[near]) if near else ()


def _without_version(environment_id: str) -> str:
    return environment_id.rsplit("-v", 1)[0].lower()


def is_atari(environment: EnvironmentConfig) -> bool:
    """Return True for a game of the Arcade Learning Environment whose observations are images."""
    spec = spec_of(environment)
    return spec.entry_point == "ale_py.env:AtariEnv" and _atari_arguments(environment)["obs_type"] != "ram"


def clips_rewards(environment: EnvironmentConfig) -> bool:
    """Return True if the rewards for learning are clipped: by `clip_rewards`, or else for Atari games."""
    return is_atari(environment) if environment.clip_rewards is None else environment.clip_rewards


def frame_skip(environment: EnvironmentConfig) -> int:
    """Return how many frames of an Atari game a step takes: 4, or `env.kwargs.frameskip`.

    The id's own number does not count: it decides whether Gymnasium or its preprocessing skips frames. Raises UserError
    for a number of frames, or for a time limit, that cannot be.
    """
    skip = environment.kwargs.get("frameskip", ATARI_FRAME_SKIP)
    if type(skip) is not int or skip < 1:
        raise UserError(
            "A step of an Atari game takes a fixed number of frames.",
            key="env.kwargs.frameskip",
            value=skip,
            remedy="set it to a whole number from 1 on; most publications take 4",
        )
    if environment.max_episode_steps == NO_LIMIT:
        raise UserError(
            f"The emulator ends every Atari game after {ATARI_MAX_FRAMES:,} frames.",
            key="env.max_episode_steps",
            value=NO_LIMIT,
            remedy="leave the setting out, or set a limit",
        )
    return skip


def _atari_arguments(environment: EnvironmentConfig) -> dict[str, Any]:
    return {"obs_type": "rgb"} | dict(spec_of(environment).kwargs) | environment.kwargs


def is_known(environment: EnvironmentConfig) -> bool:
    """Return True for one of the environments that Gymnasium and ale-py contain."""
    entry_point = spec_of(environment).entry_point
    home = entry_point if isinstance(entry_point, str) else getattr(entry_point, "__module__", "")
    return str(home).startswith(("gymnasium.", "ale_py."))


def make(environment: EnvironmentConfig) -> gym.Env[Any, Any]:
    """Return one environment, preprocessed and wrapped as its config says; raises UserError if it cannot be made."""
    return wrapped(_make_preprocessed(environment), environment.wrappers)


def _make_preprocessed(environment: EnvironmentConfig) -> gym.Env[Any, Any]:
    """Return one environment with its standard preprocessing; raises UserError if it cannot be made."""
    skip = frame_skip(environment) if is_atari(environment) else None
    try:
        return _make_plain(environment) if skip is None else _make_atari(environment, skip)
    except gym.error.DependencyNotInstalled as error:
        raise FaultyEnvironmentError(
            f"{environment.id} needs a package that is not installed: {error}",
            key="env.id",
            value=environment.id,
            remedy="install it as described in the message",
        ) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the constructor may be anybody's
        raise FaultyEnvironmentError(
            f"{environment.id} cannot be made: {reason(error)}",
            key="env.kwargs" if environment.kwargs else "env.id",
            value=environment.kwargs or environment.id,
            place=place_in_code(error),
            remedy="check env.kwargs against the environment's documentation"
            if environment.kwargs
            else "choose another environment, or install what it requires",
        ) from error


def close_quietly(env: gym.Env[Any, Any]) -> None:
    """Close an environment; what goes wrong there is of no consequence for what has been done with it."""
    try:
        env.close()
    except KeyboardInterrupt:
        raise
    except BaseException:
        pass


def _make_plain(environment: EnvironmentConfig) -> gym.Env[Any, Any]:
    return gym.make(
        environment.id,
        max_episode_steps=environment.max_episode_steps,
        disable_env_checker=True,
        **environment.kwargs,
    )


def _make_atari(environment: EnvironmentConfig, skip: int) -> gym.Env[Any, Any]:
    """Return an Atari environment with the preprocessing of Mnih et al. (2015) and Machado et al. (2018).

    Up to 30 no-ops, fire to start, the maximum of the last two of four frames, 84 x 84 gray, 4 frames stacked (black
    before the first), whole games rather than lives, and the id's own sticky actions. Rewards stay raw here; learning
    clips them.
    """
    kwargs = environment.kwargs | {"frameskip": 1}
    env: gym.Env[Any, Any] = gym.make(environment.id, disable_env_checker=True, **kwargs)
    env = gym.wrappers.AtariPreprocessing(env, noop_max=ATARI_NOOP_MAX, frame_skip=skip, screen_size=ATARI_SIDE)
    if _fire_starts(env):
        env = _FireOnReset(env)
    env = gym.wrappers.FrameStackObservation(env, ATARI_STACK, padding_type="zero")
    if environment.max_episode_steps is not None:
        env = gym.wrappers.TimeLimit(env, environment.max_episode_steps)
    return env


def as_code(environment: EnvironmentConfig, plugins: Sequence[str] = ()) -> list[str]:
    """Return lines of code that make `env` as `make` does, and its first `observation`, without acexp.

    The code first imports the modules of the wrappers; and of an environment that is not one of Gymnasium's, the
    plugins, one of which may register it.
    """
    modules = [*(() if is_known(environment) else plugins), *modules_of(environment.wrappers)]
    lines = [f"import {module}" for module in dict.fromkeys(modules)]
    wrapping = wrappers_as_code(environment.wrappers)
    limit = environment.max_episode_steps
    if not is_atari(environment):
        kwargs = environment.kwargs | ({} if limit is None else {"max_episode_steps": limit})
        return [*lines, f"env = gymnasium.make({_as_arguments(environment.id, kwargs)})", *wrapping, _RESET]
    env: gym.Env[Any, Any] = gym.make(environment.id, disable_env_checker=True, **environment.kwargs)
    needs_fire = _fire_starts(env)
    env.close()
    return [
        *lines,
        "import ale_py",
        "gymnasium.register_envs(ale_py)",
        f"env = gymnasium.make({_as_arguments(environment.id, environment.kwargs | {'frameskip': 1})})",
        f"env = gymnasium.wrappers.AtariPreprocessing(env, noop_max={ATARI_NOOP_MAX}, "
        f"frame_skip={frame_skip(environment)}, screen_size={ATARI_SIDE})",
        f'env = gymnasium.wrappers.FrameStackObservation(env, {ATARI_STACK}, padding_type="zero")',
        *([] if limit is None else [f"env = gymnasium.wrappers.TimeLimit(env, {limit})"]),
        *wrapping,
        _RESET,
        *(["observation, *_ = env.step(1)  # FIRE, which starts the game"] if needs_fire else []),
    ]


_RESET = "observation, info = env.reset(seed=0)"


def _as_arguments(environment_id: str, kwargs: Mapping[str, Any]) -> str:
    return ", ".join([json.dumps(environment_id), *(f"{key}={value!r}" for key, value in kwargs.items())])


def _fire_starts(env: gym.Env[Any, Any]) -> bool:
    meanings: list[str] = env.unwrapped.get_action_meanings()  # type: ignore[attr-defined]
    return len(meanings) > 1 and meanings[1] == "FIRE"


class _FireOnReset(gym.Wrapper[np.ndarray, int, np.ndarray, int]):
    """Press FIRE once after each reset: some games wait for it."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        observation, _, terminated, truncated, info = self.env.step(1)
        if terminated or truncated:
            observation, info = self.env.reset(options=options)
        return observation, info
