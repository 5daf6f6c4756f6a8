"""The settings of environments, and of the engines that step them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from acexp.core.configs.wrappers import require_wrappers
from acexp.core.errors import UserError
from acexp.core.settings import setting

AUTO = "auto"
NO_LIMIT = -1
"""The time limit, as Gymnasium writes it, of an environment whose own one is removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentConfig:
    """Settings of an environment.

    Attributes:
        id: A Gymnasium id, such as `CartPole-v1`, `ALE/Pong-v5` or `module:Name-v0`.
        kwargs: Keyword arguments of the environment's constructor.
        max_episode_steps: Time limit in env steps; None keeps the environment's own, and -1 removes it.
        clip_rewards: Whether the rewards for learning are clipped to [-1, 1]; None clips those of Atari games only.
        wrappers: Applied in order to each environment: `name`, one of gymnasium.wrappers or `module:Class`, and the
            arguments of its constructor.
    """

    id: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    max_episode_steps: int | None = None
    clip_rewards: bool | None = setting(None, since=2)
    wrappers: list[dict[str, Any]] = setting(factory=list, since=2)

    def __post_init__(self) -> None:
        require_wrappers(self.wrappers)
        limit = self.max_episode_steps
        if limit is not None and limit < 1 and limit != NO_LIMIT:
            raise UserError(
                "A time limit is at least one step.",
                key="max_episode_steps",
                value=limit,
                remedy="-1 removes the environment's own limit, and null keeps it",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """Which engine steps the environments, and with how many threads.

    Attributes:
        name: Name of the engine; `auto` takes the fastest installed one that steps the environment as Gymnasium does.
        threads: Largest number of threads for an engine that has its own; 0 for one per core. The engine uses fewer
            if each would have too little to do.
    """

    name: str = AUTO
    threads: int = setting(0, incidental=True)

    def __post_init__(self) -> None:
        if self.threads < 0:
            raise UserError("An engine's threads cannot be negative.", key="threads", value=self.threads)
