"""What tasks of the MuJoCo engine are: observations, rewards and terminations, for whole batches in numpy.

Every constant of a task is read from Gymnasium's own environment, and every expression keeps its order of operations
and its dtypes, so that the results are equal to the last bit. E is the number of environments.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Judgement = tuple[Floats, NDArray[np.bool_]]
"""Rewards, and whether the episode terminated, `[E]` each."""
State = Mapping[str, Floats]
"""Fields of every environment's MjData, `[E, *shape of the field]`, by the field's name."""

CONTACT_FORCES = "cfrc_ext"
"""The field that MuJoCo computes only where it is asked to, which Gymnasium does after each step."""


class Task(Protocol):
    """The observations and rewards of one kind of environment, built from Gymnasium's unwrapped environment.

    Attributes:
        fields: The fields of MjData that the methods read.
    """

    fields: tuple[str, ...]

    def position(self, state: State) -> Floats:
        """Return the x position whose progress is rewarded, `[E]`; zeros if none is."""

    def observe(self, state: State) -> Floats:
        """Return the observations, `[E, O]`, in a new array."""

    def judge(self, state: State, velocity: Floats, actions: NDArray[Any]) -> Judgement:
        """Return the rewards and terminations of a step, from the x velocity `[E]` and the actions `[E, A]`."""


def flat(values: NDArray[Any]) -> NDArray[Any]:
    """Return all values of an environment in one row, `[E, ...]` -> `[E, n]`."""
    return values.reshape(len(values), -1)


def cost(weight: float, values: NDArray[Any]) -> NDArray[Any]:
    """Compute `weight * |values|^2`, `[E, ...]` -> `[E]`, in the values' own dtype."""
    costs: NDArray[Any] = weight * flat(np.square(values)).sum(1)
    return costs


def clipped(values: Floats) -> Floats:
    """Return velocities or forces as several tasks observe them, clipped to [-10, 10]."""
    observed: Floats = np.clip(values, -10, 10)
    return observed


def never(state: State) -> NDArray[np.bool_]:
    """Return the terminations of a task that has none, `[E]`."""
    return np.zeros(len(state["qpos"]), np.bool_)


class Bodies:
    """The humanoids, which observe the inertia, the velocity and the forces of each body."""

    fields: tuple[str, ...] = ("qpos", "qvel", "cinert", "cvel", "qfrc_actuator", "xipos", "ctrl", CONTACT_FORCES)

    def __init__(self, env: Any) -> None:
        self._first = 2 * env._exclude_current_positions_from_observation
        self._observed = [
            (field, first)
            for field, first, is_observed in (
                ("cinert", 1, env._include_cinert_in_observation),
                ("cvel", 1, env._include_cvel_in_observation),
                ("qfrc_actuator", 6, env._include_qfrc_actuator_in_observation),
                (CONTACT_FORCES, 1, env._include_cfrc_ext_in_observation),
            )
            if is_observed
        ]

    def observe(self, state: State) -> Floats:
        parts = [flat(state[field][:, first:]) for field, first in self._observed]
        return np.concatenate((state["qpos"][:, self._first :], state["qvel"], *parts), 1)
