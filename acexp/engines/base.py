"""The engine interface, the registry of engines, and `auto`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, Self

import gymnasium as gym
from numpy.typing import NDArray

from acexp.core.errors import UserError
from acexp.core.registry import Registry
from acexp.engines.environment import EnvironmentConfig

AUTO = "auto"
AUTO_ORDER = ("mujoco", "ale", "tabular", "envpool", "gymnasium")
"""Fastest first: `auto` takes the first of these that steps the environment as Gymnasium does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """Which engine steps the environments.

    Attributes:
        name: `auto` takes the fastest installed engine that can step the environment.
        threads: the most that an engine with threads of its own may use; 0 lets it use every core. It uses fewer where
            they would have too little to do each.
    """

    name: str = AUTO
    threads: int = 0

    def __post_init__(self) -> None:
        if self.threads < 0:
            raise UserError("An engine's threads cannot be negative.", key="threads", value=self.threads)


class Step(NamedTuple):
    """What one step of E environments gave; the arrays are the engine's and hold until its next step.

    Attributes:
        observation: batched as Gymnasium batches the single space; the true final one where an episode just ended.
        reward: raw, `[E]`; 0 in a reset slot.
        terminated, truncated: bool `[E]`.
    """

    observation: Any
    reward: NDArray[Any]
    terminated: NDArray[Any]
    truncated: NDArray[Any]


EnvironmentState = dict[str, Any]
"""All that one environment's future depends on but the actions to come, as tensors and plain values."""


class Engine(Protocol):
    """E environments stepped together.

    The step after an episode's end is a reset: its action is ignored, its reward is 0, its observation is the first of
    the next episode (Gymnasium's NEXT_STEP autoreset).
    """

    observation_space: gym.Space[Any]
    action_space: gym.Space[Any]

    @classmethod
    def cannot_step(cls, environment: EnvironmentConfig) -> str | None:
        """Why this engine cannot step this environment, or None if it can."""

    @classmethod
    def is_equal(cls, environment: EnvironmentConfig) -> bool:
        """Whether it is known to step this environment, which it can step, as Gymnasium does."""

    @classmethod
    def open(cls, environment: EnvironmentConfig, seeds: list[int], config: EngineConfig) -> Self:
        """Make one environment per seed; raises UserError where the environment cannot be had."""

    def reset(self) -> Any:
        """Start every environment from its own seed; the first observations."""

    def step(self, actions: NDArray[Any]) -> Step:
        """Advance every environment by one slot."""

    def save(self) -> list[EnvironmentState] | None:
        """The state of each environment; None where it cannot be had, so that resuming begins new episodes."""

    def load(self, states: Sequence[EnvironmentState]) -> None:
        """Go on from states that `save` gave, instead of `reset`. The last observations are the caller's to keep."""

    def close(self) -> None:
        """Free what the environments hold. Calling it twice does nothing."""


ENGINES: Registry[type[Engine]] = Registry("engine", EngineConfig)


def choose_engine(environment: EnvironmentConfig, config: EngineConfig) -> EngineConfig:
    """The config with `auto` resolved; raises UserError for an engine that cannot step this environment."""

    def obstacle(name: str) -> str | None:
        return ENGINES[name].build.cannot_step(environment)

    if config.name == AUTO:
        equal = (n for n in AUTO_ORDER if obstacle(n) is None and ENGINES[n].build.is_equal(environment))
        return replace(config, name=next(equal))
    reason = obstacle(config.name)
    if reason is not None:
        able = tuple(name for name in ENGINES.names if obstacle(name) is None)
        raise UserError(
            f"The engine {config.name!r} cannot step {environment.id}: {reason}.",
            key="engine.name",
            value=config.name,
            choices=(AUTO, *able),
            remedy="choose an engine that can, or leave it to engine=auto",
        )
    return config


def open_engine(environment: EnvironmentConfig, seeds: list[int], config: EngineConfig) -> Engine:
    """The engine that the config names, with one environment per seed."""
    chosen = choose_engine(environment, config)
    return ENGINES[chosen.name].build.open(environment, seeds, chosen)
