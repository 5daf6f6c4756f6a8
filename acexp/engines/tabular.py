"""The engine for Gymnasium's tabular environments, which looks up their transition tables for a whole batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import gymnasium as gym
import numpy as np
from gymnasium.utils import seeding
from numpy.typing import NDArray

from acexp.engines.base import ENGINES, EngineBase, EngineConfig, EnvironmentState, Step
from acexp.engines.clock import EpisodeClock
from acexp.engines.environment import EnvironmentConfig, generator_at, make, spec_of

_TABULAR = {
    "gymnasium.envs.toy_text.cliffwalking:CliffWalkingEnv",
    "gymnasium.envs.toy_text.frozen_lake:FrozenLakeEnv",
}


@ENGINES.register("tabular")
class Tabular(EngineBase):
    """Steps CliffWalking and FrozenLake by their tables and random numbers, equal to Gymnasium's step by step.

    `P[state][action]` lists the possible outcomes as (probability, next state, reward, terminated). An environment
    draws one uniform number per step and per reset, and takes the first outcome whose cumulated probability exceeds it.
    """

    preference = 30

    def __init__(self, model: Any, seeds: list[int], max_episode_steps: int | None) -> None:
        n_outcomes = max(len(outcomes) for by_action in model.P.values() for outcomes in by_action.values())
        table = (int(model.observation_space.n), int(model.action_space.n), n_outcomes)
        self._cumulated = np.full(table, -np.inf)
        self._next = np.zeros(table, np.int64)
        self._rewards = np.zeros(table)
        self._terminates = np.zeros(table, np.bool_)
        for state, by_action in model.P.items():
            for action, outcomes in by_action.items():
                probabilities, states, rewards, ends = zip(*outcomes, strict=True)
                row = (state, action, slice(len(outcomes)))
                self._cumulated[row] = np.cumsum(probabilities)
                self._next[row], self._rewards[row], self._terminates[row] = states, rewards, ends
        self._start = np.cumsum(model.initial_state_distrib)[np.newaxis]
        self._is_random = n_outcomes > 1 or np.count_nonzero(model.initial_state_distrib) > 1
        self._clock = EpisodeClock(len(seeds), max_episode_steps)
        self._seeds = seeds
        self._random: list[np.random.Generator] = []
        self._state = np.zeros(len(seeds), np.int64)
        self.observation_space: gym.Space[Any] = model.observation_space
        self.action_space: gym.Space[Any] = model.action_space

    @classmethod
    def cannot_step(cls, environment: EnvironmentConfig) -> str | None:
        spec = spec_of(environment)
        if spec.entry_point not in _TABULAR or spec.additional_wrappers:
            return "it steps Gymnasium's CliffWalking and FrozenLake only"
        return None

    @classmethod
    def open(cls, environment: EnvironmentConfig, seeds: list[int], config: EngineConfig) -> Self:
        wrapped = make(environment)
        limit = wrapped.spec.max_episode_steps if wrapped.spec else None
        return cls(wrapped.unwrapped, seeds, limit)

    def reset(self) -> Any:
        self._random = [seeding.np_random(seed)[0] for seed in self._seeds]
        self._clock.reset()
        self._state = _first_above(self._start, self._draw())
        return self._state

    def step(self, actions: NDArray[Any]) -> Step:
        # Each environment draws one number per slot, for a step or for a reset.
        numbers = self._draw() if self._is_random else np.zeros((len(actions), 1))
        outcome = _first_above(self._cumulated[self._state, actions], numbers) if self._is_random else 0
        where = (self._state, actions, outcome)
        state, reward, terminated = self._next[where], self._rewards[where], self._terminates[where]
        starting = self._clock.done
        if starting.any():
            state = np.where(starting, _first_above(self._start, numbers), state)
        self._state = state
        truncated = self._clock.end_step(reward, terminated)
        return Step(state, reward, terminated, truncated)

    def save(self) -> list[EnvironmentState]:
        return [
            {"state": int(state), **self._clock.state(i), "random": generator.bit_generator.state}
            for i, (state, generator) in enumerate(zip(self._state, self._random, strict=True))
        ]

    def load(self, states: Sequence[EnvironmentState]) -> None:
        self._state = np.array([state["state"] for state in states])
        self._clock.load(states)
        self._random = [generator_at(state["random"]) for state in states]

    def _draw(self) -> NDArray[Any]:
        """Draw a uniform number from each environment's own generator, `[E, 1]`."""
        return np.array([[generator.random()] for generator in self._random])


def _first_above(cumulated: NDArray[Any], numbers: NDArray[Any]) -> NDArray[Any]:
    """Return the first outcome whose cumulated probability exceeds the number: `[E or 1, n]`, `[E, 1]` -> `[E]`."""
    first: NDArray[Any] = np.argmax(cumulated > numbers, -1)
    return first
