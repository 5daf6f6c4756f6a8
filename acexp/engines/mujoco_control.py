"""The tasks of the MuJoCo engine that reward where things are: balancing, reaching, standing up; see `mujoco_tasks`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acexp.engines.mujoco_tasks import (
    CONTACT_FORCES,
    Bodies,
    Floats,
    Judgement,
    State,
    Task,
    clipped,
    cost,
    never,
)

LARGEST_ANGLE = 0.2
"""The angle beyond which the pole of InvertedPendulum has fallen."""


class Stationary:
    """Tasks that reward where things are, and no progress."""

    def position(self, state: State) -> Floats:
        return np.zeros(len(state["qpos"]))


class HumanoidStandup(Stationary, Bodies):
    """HumanoidStandup, which rewards the height of its torso and never terminates."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self._timestep = env.model.opt.timestep
        self._control, self._impact = env._ctrl_cost_weight, env._impact_cost_weight
        self._impact_range = env._impact_cost_range

    def judge(self, state: State, velocity: Floats, actions: NDArray[Any]) -> Judgement:
        control_cost = cost(self._control, state["ctrl"])
        impact_cost = np.clip(cost(self._impact, state[CONTACT_FORCES]), *self._impact_range)
        return state["qpos"][:, 2] / self._timestep - control_cost - impact_cost + 1, never(state)


class InvertedPendulum(Stationary):
    """InvertedPendulum, which rewards every step in which the pole stands."""

    fields: tuple[str, ...] = ("qpos", "qvel")

    def observe(self, state: State) -> Floats:
        return np.concatenate((state["qpos"], state["qvel"]), 1)

    def judge(self, state: State, velocity: Floats, actions: NDArray[Any]) -> Judgement:
        observation = self.observe(state)
        terminated = ~np.isfinite(observation).all(1) | (np.abs(observation[:, 1]) > LARGEST_ANGLE)
        return (~terminated).astype(np.float64), terminated


class InvertedDoublePendulum(Stationary):
    """InvertedDoublePendulum, which rewards that the tip of its two poles stays high, in the middle, and slow."""

    fields: tuple[str, ...] = ("qpos", "qvel", "qfrc_constraint", "site_xpos")

    def __init__(self, env: Any) -> None:
        self._healthy = env._healthy_reward

    def observe(self, state: State) -> Floats:
        angles = state["qpos"][:, 1:]
        velocity = clipped(state["qvel"])
        force = clipped(state["qfrc_constraint"][:, :1])
        return np.concatenate((state["qpos"][:, :1], np.sin(angles), np.cos(angles), velocity, force), 1)

    def judge(self, state: State, velocity: Floats, actions: NDArray[Any]) -> Judgement:
        x, y = state["site_xpos"][:, 0, 0], state["site_xpos"][:, 0, 2]
        v1, v2 = state["qvel"][:, 1], state["qvel"][:, 2]
        terminated = y <= 1
        distance = 0.01 * squared(x) + squared(y - 2)
        speed = 1e-3 * squared(v1) + 5e-3 * squared(v2)
        return self._healthy * ~terminated - distance - speed, terminated


class Reacher(Stationary):
    """Reacher, whose arm of two joints reaches for a target in the plane; it never terminates."""

    fields: tuple[str, ...] = ("qpos", "qvel", "xpos")

    def __init__(self, env: Any) -> None:
        self._tip, self._target = _bodies(env, "fingertip", "target")
        self._distance, self._control = env._reward_dist_weight, env._reward_control_weight

    def observe(self, state: State) -> Floats:
        angles = state["qpos"][:, :2]
        return np.concatenate(
            (np.cos(angles), np.sin(angles), state["qpos"][:, 2:], state["qvel"][:, :2], self._offset(state)[:, :2]), 1
        )

    def judge(self, state: State, velocity: Floats, actions: NDArray[Any]) -> Judgement:
        distance = length(self._offset(state)) * self._distance
        return -distance - cost(self._control, actions), never(state)

    def _offset(self, state: State) -> Floats:
        return state["xpos"][:, self._tip] - state["xpos"][:, self._target]


class Pusher(Stationary):
    """Pusher, whose arm of seven joints pushes a cylinder to a goal; it never terminates."""

    fields: tuple[str, ...] = ("qpos", "qvel", "xpos")

    def __init__(self, env: Any) -> None:
        self._tip, self._object, self._goal = _bodies(env, "tips_arm", "object", "goal")
        self._near, self._distance = env._reward_near_weight, env._reward_dist_weight
        self._control = env._reward_control_weight

    def observe(self, state: State) -> Floats:
        places = [state["xpos"][:, body] for body in (self._tip, self._object, self._goal)]
        return np.concatenate((state["qpos"][:, :7], state["qvel"][:, :7], *places), 1)

    def judge(self, state: State, velocity: Floats, actions: NDArray[Any]) -> Judgement:
        tip, thing, goal = (state["xpos"][:, body] for body in (self._tip, self._object, self._goal))
        distance, near = length(thing - goal) * self._distance, length(thing - tip) * self._near
        return -distance - cost(self._control, actions) - near, never(state)


def _bodies(env: Any, *names: str) -> list[int]:
    return [env.data.body(name).id for name in names]


def length(vectors: Floats) -> Floats:
    """Return the lengths of vectors as `np.linalg.norm` computes that of a single one, `[E, 3]` -> `[E]`."""
    lengths: Floats = np.sqrt(np.vecdot(vectors, vectors))
    return lengths


def squared(values: Floats) -> Floats:
    """Return `x**2` as numpy computes that of a single number, `[E]`.

    That is C's `pow(x, 2)`, which differs from `x * x` in the last bit of one number in a thousand.
    """
    return np.array([value**2 for value in values])


CONTROL: Mapping[str, Callable[[Any], Task]] = {
    "humanoidstandup_v5:HumanoidStandupEnv": HumanoidStandup,
    "inverted_pendulum_v5:InvertedPendulumEnv": lambda env: InvertedPendulum(),
    "inverted_double_pendulum_v5:InvertedDoublePendulumEnv": InvertedDoublePendulum,
    "reacher_v5:ReacherEnv": Reacher,
    "pusher_v5:PusherEnv": Pusher,
}
"""Tasks by the ends of the entry points that Gymnasium has registered."""
