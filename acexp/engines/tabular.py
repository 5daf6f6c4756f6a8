"""The engine for Gymnasium's tabular environments, which looks up their transition tables for a whole batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import gymnasium as gym
import numpy as np
import torch
from gymnasium.utils import seeding
from numpy.typing import NDArray

from acexp.core.configs.engines import EngineConfig, EnvironmentConfig
from acexp.engines.base import ENGINES, EngineBase, EnvironmentState, Step
from acexp.engines.clock import EpisodeClock
from acexp.engines.environment import make, spec_of
from acexp.engines.randomness import generator_at

_TABULAR = {
    "gymnasium.envs.toy_text.cliffwalking:CliffWalkingEnv",
    "gymnasium.envs.toy_text.frozen_lake:FrozenLakeEnv",
}


OTHER_TABLES = "the environments of these runs have different tables, and one population steps a single one"
"""Why runs that draw their map anew cannot continue together."""


class _Table(NamedTuple):
    """The possible outcomes of every state and action: `[S, A, n]` each, for at most n outcomes.

    Attributes:
        cumulated: Cumulated probabilities.
        next: Next states.
        rewards: Rewards.
        terminates: Whether the episode ends.
        start: Cumulated probabilities of the first state, `[1, S]`.
        is_random: Whether there is anything to draw.
    """

    cumulated: NDArray[Any]
    next: NDArray[Any]
    rewards: NDArray[Any]
    terminates: NDArray[Any]
    start: NDArray[Any]
    is_random: bool


def _table_of(model: Any) -> _Table:
    """Return the table of one of Gymnasium's tabular environments."""
    n_outcomes = max(len(outcomes) for by_action in model.P.values() for outcomes in by_action.values())
    shape = (int(model.observation_space.n), int(model.action_space.n), n_outcomes)
    cumulated, rewards = np.full(shape, -np.inf), np.zeros(shape)
    following, terminates = np.zeros(shape, np.int64), np.zeros(shape, np.bool_)
    for state, by_action in model.P.items():
        for action, outcomes in by_action.items():
            probabilities, states, values, ends = zip(*outcomes, strict=True)
            row = (state, action, slice(len(outcomes)))
            cumulated[row] = np.cumsum(probabilities)
            following[row], rewards[row], terminates[row] = states, values, ends
    start = np.cumsum(model.initial_state_distrib)[np.newaxis]
    is_random = n_outcomes > 1 or bool(np.count_nonzero(model.initial_state_distrib) > 1)
    return _Table(cumulated, following, rewards, terminates, start, is_random)


def _loaded(saved: Mapping[str, torch.Tensor]) -> _Table:
    """Return a table from what `Tabular.save` has saved of it."""
    parts: dict[str, Any] = {name: tensor.numpy() for name, tensor in saved.items()}
    return _Table(**{**parts, "is_random": bool(parts["is_random"])})


def _are_equal(one: _Table, other: _Table) -> bool:
    return all(np.array_equal(np.asarray(mine), np.asarray(its)) for mine, its in zip(one, other, strict=True))


@ENGINES.register("tabular")
class Tabular(EngineBase):
    """Steps CliffWalking and FrozenLake by their tables and random numbers, equal to Gymnasium's step by step.

    `P[state][action]` lists the possible outcomes as (probability, next state, reward, terminated). An environment
    draws one uniform number per step and per reset, and takes the first outcome whose cumulated probability exceeds it.
    """

    preference = 30

    def __init__(self, model: Any, seeds: list[int], max_episode_steps: int | None) -> None:
        self._table = _table_of(model)
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
        self._state = _first_above(self._table.start, self._draw())
        return self._state

    def step(self, actions: NDArray[Any]) -> Step:
        # Each environment draws one number per slot, for a step or for a reset.
        table = self._table
        numbers = self._draw() if table.is_random else np.zeros((len(actions), 1))
        outcome = _first_above(table.cumulated[self._state, actions], numbers) if table.is_random else 0
        _, n_actions, n_outcomes = table.next.shape
        index = (self._state * n_actions + actions) * n_outcomes + outcome
        state, reward, terminated = table.next.take(index), table.rewards.take(index), table.terminates.take(index)
        starting = self._clock.done
        if np.count_nonzero(starting):
            state = np.where(starting, _first_above(table.start, numbers), state)
        self._state = state
        truncated = self._clock.end_step(reward, terminated)
        return Step(state, reward, terminated, truncated)

    def save(self) -> list[EnvironmentState]:
        # The table is saved too: FrozenLake can draw its map anew in each process, from numbers without a seed.
        table = {name: torch.from_numpy(np.asarray(part)) for name, part in self._table._asdict().items()}
        return [
            {"state": int(state), **self._clock.state(i), "random": generator.bit_generator.state, "table": table}
            for i, (state, generator) in enumerate(zip(self._state, self._random, strict=True))
        ]

    def load(self, states: Sequence[EnvironmentState]) -> str | None:
        # Earlier versions saved no tables.
        first, *others = [_loaded(state["table"]) if "table" in state else self._table for state in states]
        if not all(_are_equal(first, other) for other in others):
            return OTHER_TABLES
        self._table = first
        self._state = np.array([state["state"] for state in states])
        self._clock.load(states)
        self._random = [generator_at(state["random"]) for state in states]
        return None

    def _draw(self) -> NDArray[Any]:
        """Draw a uniform number from each environment's own generator, `[E, 1]`."""
        return np.array([[generator.random()] for generator in self._random])


def _first_above(cumulated: NDArray[Any], numbers: NDArray[Any]) -> NDArray[Any]:
    """Return the first outcome whose cumulated probability exceeds the number: `[E or 1, n]`, `[E, 1]` -> `[E]`."""
    first: NDArray[Any] = np.argmax(cumulated > numbers, -1)
    return first
