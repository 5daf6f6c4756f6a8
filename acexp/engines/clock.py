"""Counts elapsed steps, ended episodes and the time limit, for engines that do not use Gymnasium's wrappers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class EpisodeClock:
    """Counts the steps of E environments' episodes, with Gymnasium's NEXT_STEP autoreset.

    Attributes:
        elapsed: Number of steps of each current episode, int64 `[E]`.
        done: Whether each episode ended in the last step, so that the next step is a reset, bool `[E]`.
        limit: The time limit in steps; infinite if there is none.
    """

    def __init__(self, n_envs: int, limit: int | None) -> None:
        self.limit = np.inf if limit is None else limit
        self.elapsed = np.zeros(n_envs, np.int64)
        self.done = np.zeros(n_envs, np.bool_)

    def reset(self) -> None:
        """Set all counts to those of new episodes."""
        self.elapsed[:], self.done = 0, np.zeros(len(self.done), np.bool_)

    def count(self) -> None:
        """Count one step of every environment; where an episode has ended, the step is a reset and counts as 0."""
        self.elapsed += 1
        self.elapsed[self.done] = 0

    def end_step(self, reward: NDArray[Any], terminated: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Count a step and return where it reaches the time limit, bool `[E]`.

        In reset slots, `reward` becomes 0 and `terminated` False, in place.
        """
        starting = self.done
        self.count()
        if np.count_nonzero(starting):
            reward[starting], terminated[starting] = 0.0, False
        truncated = self.elapsed >= self.limit
        self.done = terminated | truncated
        return truncated

    def state(self, i: int) -> dict[str, Any]:
        """Return the counts of environment `i` as plain values."""
        return {"elapsed": int(self.elapsed[i]), "done": bool(self.done[i])}

    def load(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Restore counts that `state` returned, one per environment."""
        self.elapsed = np.array([state["elapsed"] for state in states])
        self.done = np.array([state["done"] for state in states])
