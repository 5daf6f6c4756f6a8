"""The interface of engines, their registry, and the choice of an engine for an environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import gymnasium as gym
from numpy.typing import NDArray

from acexp.core.configs.engines import AUTO, EngineConfig, EnvironmentConfig
from acexp.core.errors import UserError
from acexp.core.registry import Registry
from acexp.core.stopping import ShouldStop, never
from acexp.engines.environment import close_quietly, make
from acexp.system.packages import Package, is_installed


class Step(NamedTuple):
    """The result of one step of E environments; the arrays belong to the engine and are valid until its next step.

    Attributes:
        observation: Batched as Gymnasium batches the single space; the true final one where an episode just ended.
        reward: Raw rewards, `[E]`; 0 in a reset slot.
        terminated, truncated: bool `[E]`.
    """

    observation: Any
    reward: NDArray[Any]
    terminated: NDArray[Any]
    truncated: NDArray[Any]


EnvironmentState = dict[str, Any]
"""The state of one environment as tensors and plain values; with the same actions, it determines its future."""


class Engine(Protocol):
    """E environments stepped together.

    The step after an episode's end is a reset: its action is ignored, its reward is 0, its observation is the first of
    the next episode (Gymnasium's NEXT_STEP autoreset). An engine of your own inherits from EngineBase, whose defaults
    suit most.

    Attributes:
        packages: The packages that the engine needs; their versions are recorded with each run.
        preference: `auto` takes the engine of the highest preference that steps the environment as Gymnasium does.
        uses_gymnasium: Whether it steps environments that Gymnasium makes, which can be wrapped, have infos, and are
            probed; other engines have implementations of their own.
        observation_space, action_space: The spaces of a single environment.
        should_stop: Set by whoever uses the engine. An engine whose steps, or whose `load`, take long asks it in
            between, and raises StopRequestedError once it returns True; the engine is then of no use any more.
        info_keys: Set once the engine is open: the keys of `final_info`. Only what uses Gymnasium has infos.
        final_info: Of each environment whose episode has ended in the last step, by its number: those of its last
            info's values that are finite numbers. A new mapping in each step.
    """

    packages: ClassVar[tuple[Package, ...]]
    preference: ClassVar[int]
    uses_gymnasium: ClassVar[bool]
    observation_space: gym.Space[Any]
    action_space: gym.Space[Any]
    should_stop: ShouldStop
    info_keys: Sequence[str]
    final_info: Mapping[int, dict[str, float]]

    @classmethod
    def cannot_step(cls, environment: EnvironmentConfig) -> str | None:
        """Return why this engine cannot step this environment, None if it can."""

    @classmethod
    def is_equal(cls, environment: EnvironmentConfig) -> bool:
        """Return True if this engine is known to step this environment as Gymnasium does, where it can step it."""

    @classmethod
    def open(cls, environment: EnvironmentConfig, seeds: list[int], config: EngineConfig) -> Self:
        """Return an engine with one environment per seed; raises UserError if the environment cannot be made."""

    def reset(self) -> Any:
        """Reset every environment with its own seed and return the first observations."""

    def step(self, actions: NDArray[Any]) -> Step:
        """Step every environment with its action, or reset it where an episode has ended. See Step."""

    def save(self) -> list[EnvironmentState] | None:
        """Return the state of each environment; None if it cannot be saved, so that resuming begins new episodes."""

    def load(self, states: Sequence[EnvironmentState]) -> str | None:
        """Continue from states that `save` returned, instead of `reset`. The caller keeps the last observations.

        Returns None, or why the environments are not where they were; the engine is then of no use any more.
        """

    def close(self) -> None:
        """Free the resources of the environments. A second call does nothing."""


class EngineBase:
    """Base class of engines: needs no packages, is never chosen by `auto`, steps anything, cannot save states."""

    packages: ClassVar[tuple[Package, ...]] = ()
    preference: ClassVar[int] = 0
    uses_gymnasium: ClassVar[bool] = False
    should_stop: ShouldStop = staticmethod(never)
    info_keys: Sequence[str] = ()
    final_info: Mapping[int, dict[str, float]] = MappingProxyType({})

    @classmethod
    def cannot_step(cls, environment: EnvironmentConfig) -> str | None:
        """Return which of the engine's packages is not installed, None if all are."""
        for package in cls.packages:
            if not is_installed(package.name.replace("-", "_")):
                return f"its package is not installed ({package.remedy})"
        return None

    @classmethod
    def is_equal(cls, environment: EnvironmentConfig) -> bool:
        return True

    def save(self) -> list[EnvironmentState] | None:
        return None

    def load(self, states: Sequence[EnvironmentState]) -> str | None:
        raise NotImplementedError("this engine cannot load the state of environments")

    def close(self) -> None:
        """Do nothing, since this engine has no resources to free."""


ENGINES: Registry[type[Engine]] = Registry("engine", EngineConfig)
"""All engines by name, those of plugins included."""


def choose_engine(environment: EnvironmentConfig, config: EngineConfig, info_keys: Sequence[str] = ()) -> EngineConfig:
    """Return the config with `auto` resolved; raises UserError for an engine that cannot step this environment.

    With `info_keys`, an engine is needed that has the infos of the environment.
    """

    def obstacle(name: str) -> str | None:
        engine = ENGINES[name].build
        if environment.wrappers and not engine.uses_gymnasium:
            return "it cannot apply env.wrappers"
        if info_keys and not engine.uses_gymnasium:
            return "it has no infos, which log.info reads"
        return engine.cannot_step(environment)

    if config.name == AUTO:
        preferred = sorted(ENGINES.names, key=lambda name: -ENGINES[name].build.preference)
        able = (
            name
            for name in preferred
            if ENGINES[name].build.preference > 0
            # First what costs nothing: to ask envpool what it can step takes two seconds of imports.
            and ENGINES[name].build.is_equal(environment)
            and obstacle(name) is None
        )
        return replace(config, name=next(able))
    reason = obstacle(config.name)
    if reason is not None:
        able_names = tuple(name for name in ENGINES.names if obstacle(name) is None)
        raise UserError(
            f"The engine {config.name!r} cannot step {environment.id}: {reason}.",
            key="engine.name",
            value=config.name,
            choices=(AUTO, *able_names),
            remedy="choose an engine that can, or set engine=auto",
        )
    return config


def open_engine(
    environment: EnvironmentConfig, seeds: list[int], config: EngineConfig, info_keys: Sequence[str] = ()
) -> Engine:
    """Open the engine that the config names, with one environment per seed; see Engine for `info_keys`."""
    chosen = choose_engine(environment, config, info_keys)
    engine = ENGINES[chosen.name].build.open(environment, seeds, chosen)
    if info_keys:
        engine.info_keys = info_keys
    return engine


def is_own(config: EngineConfig) -> bool:
    """Return True for an engine of acexp's, whose environments Gymnasium can make too, with the same arguments."""
    return config.name == AUTO or ENGINES[config.name].build.__module__.startswith("acexp.")


def spaces_of(environment: EnvironmentConfig, config: EngineConfig) -> tuple[gym.Space[Any], gym.Space[Any]]:
    """Return the spaces of observations and actions of one environment; raises whatever keeps it from being made.

    acexp's own engines have Gymnasium's spaces, so none of them is opened: to import envpool takes two seconds.
    """
    if is_own(config):
        env = make(environment)
        close_quietly(env)
        return env.observation_space, env.action_space
    engine = open_engine(environment, [0], config)
    engine.close()
    return engine.observation_space, engine.action_space
