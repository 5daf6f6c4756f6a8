"""The engine for every Gymnasium environment, which steps them one after the other in this process."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, NamedTuple, Self

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector.utils import batch_space, iterate
from numpy.typing import NDArray

from acexp.core.configs.engines import EngineConfig, EnvironmentConfig
from acexp.core.stopping import ShouldStop
from acexp.engines.base import ENGINES, EngineBase, EnvironmentState, Step
from acexp.engines.contract import FaultyEnvironmentError, faulty
from acexp.engines.environment import make
from acexp.engines.randomness import random_state, restore_random_state
from acexp.engines.vector import VectorEnvironment
from acexp.system.packages import Package
from acexp.system.user_code import place_in_code, reason

LONGEST_REPLAY = 100_000
"""Largest number of steps of an episode whose actions are kept, to restore its state; a few bytes per step."""

NOT_REPEATED = "the environment, played again with the same seeds and actions, showed something else"
"""Why an episode cannot be restored that depends on more than its seed, `np_random` and its actions."""


DIFFERENT_SPACES = "its instances have different spaces, but all environments of a run have the same"


class _Episode(NamedTuple):
    """The history from which the state of an environment is restored.

    Attributes:
        seed: Seed of the environment's first reset.
        random: State of the environment's generator before its last reset; None if that was the first.
        actions: The actions since the last reset.
    """

    seed: int
    random: Any
    actions: list[NDArray[Any]]


def _the_same(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    return env


@ENGINES.register("gymnasium")
class Gymnasium(EngineBase):
    """Steps any environment as Gymnasium's SyncVectorEnv does, in one process, without copying observations."""

    packages: ClassVar[tuple[Package, ...]] = (Package("box2d", "LunarLander", "pip install 'gymnasium[box2d]'"),)
    preference = 10
    uses_gymnasium = True

    def __init__(self, environments: VectorEnvironment, seeds: list[int]) -> None:
        self._environments = environments
        self._seeds = seeds
        self._episodes: list[_Episode] = []
        self._done = np.zeros(len(seeds), np.bool_)
        self.observation_space: gym.Space[Any] = environments.single_observation_space
        self.action_space: gym.Space[Any] = environments.single_action_space

    @classmethod
    def cannot_step(cls, environment: EnvironmentConfig) -> str | None:
        return None

    @classmethod
    def open(cls, environment: EnvironmentConfig, seeds: list[int], config: EngineConfig) -> Self:
        return cls.around(environment.id, [make(environment) for _ in seeds], seeds)

    @classmethod
    def around(cls, environment_id: str, made: Sequence[gym.Env[Any, Any]], seeds: list[int]) -> Self:
        """Return an engine for environments that have been made, one per seed."""
        try:
            # What goes wrong from here on does so in attributes of the environments, which may be properties.
            vector = VectorEnvironment(environment_id, [functools.partial(_the_same, env) for env in made])
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            problem = f"its instances cannot be stepped together: {reason(error)}"
            if isinstance(error, RuntimeError) and "sub-environment" in str(error).lower():
                problem = DIFFERENT_SPACES
            raise faulty(environment_id, problem, place=place_in_code(error)) from error
        return cls(vector, seeds)

    @property
    def should_stop(self) -> ShouldStop:
        """Asked before each step of a single environment."""
        return self._environments.should_stop

    @should_stop.setter
    def should_stop(self, should_stop: ShouldStop) -> None:
        self._environments.should_stop = should_stop

    @property
    def info_keys(self) -> Sequence[str]:
        """The keys of `final_info`."""
        return self._environments.info_keys

    @info_keys.setter
    def info_keys(self, info_keys: Sequence[str]) -> None:
        self._environments.info_keys = info_keys

    @property
    def environments(self) -> list[gym.Env[Any, Any]]:
        """The single environments, for drawing them."""
        return list(self._environments.envs)

    def reset(self) -> Any:
        self._episodes = [_Episode(seed, None, []) for seed in self._seeds]
        self._done = np.zeros(len(self._seeds), np.bool_)
        return self._environments.reset(seed=list(self._seeds))[0]

    def step(self, actions: NDArray[Any]) -> Step:
        self._record(actions)
        observation, reward, terminated, truncated, _ = self._environments.step(actions)
        self._done = terminated | truncated
        if self._environments.info_keys:
            self.final_info = self._environments.final_info
        return Step(observation, reward, terminated, truncated)

    def _record(self, actions: NDArray[Any]) -> None:
        for i, action in enumerate(actions.copy()):
            episode = self._episodes[i]
            if self._done[i]:
                self._episodes[i] = _Episode(episode.seed, random_state(self._environments.envs[i]), [])
            elif len(episode.actions) < LONGEST_REPLAY:
                episode.actions.append(action)

    def save(self) -> list[EnvironmentState] | None:
        """Return the actions of each episode: few environments can be copied, but most can be replayed.

        What the episode has shown is saved as a checksum, with which the replay is compared.
        """
        if any(len(episode.actions) == LONGEST_REPLAY for episode in self._episodes):
            return None
        return [
            {
                "seed": episode.seed,
                "random": episode.random,
                "actions": torch.from_numpy(np.stack(episode.actions)) if episode.actions else None,
                "done": bool(done),
                "checksum": checksum,
            }
            for episode, done, checksum in zip(
                self._episodes, self._done, self._environments.checksums.values(), strict=True
            )
        ]

    def load(self, states: Sequence[EnvironmentState]) -> str | None:
        try:
            for i, state in enumerate(states):
                checksum = self._replay(i, state)
                # Earlier versions saved no checksum.
                if checksum != state.get("checksum", checksum):
                    return NOT_REPEATED
                self._environments.checksums.replace(i, checksum)
        except (FaultyEnvironmentError, AttributeError, TypeError, ValueError):  # also a generator of another kind
            return NOT_REPEATED
        self._episodes = [_Episode(s["seed"], s["random"], list(self._actions(s, as_given=True))) for s in states]
        self._done = np.array([state["done"] for state in states])
        self._environments._autoreset_envs = self._done.copy()
        return None

    def _replay(self, i: int, state: EnvironmentState) -> int:
        """Play the episode of an environment again, up to where it was saved, and return its checksum."""
        random, env = state["random"], self._environments.envs[i]
        restore = None if random is None else functools.partial(restore_random_state, env, random)
        return self._environments.replay(i, state["seed"], restore, self._actions(state))

    def _actions(self, state: EnvironmentState, *, as_given: bool = False) -> Iterable[Any]:
        """Return an episode's actions, one by one in the form that an environment takes, or else as they were given."""
        if state["actions"] is None:
            return ()
        actions = state["actions"].numpy()
        return actions if as_given else iterate(batch_space(self.action_space, len(actions)), actions)

    def close(self) -> None:
        self._environments.close()
