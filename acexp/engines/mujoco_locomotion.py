"""The tasks of the MuJoCo engine that reward progress, see `mujoco_tasks`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
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
    flat,
    never,
)


@dataclass(frozen=True, slots=True)
class Terms:
    """The weights of the terms of a task's reward; those of health and contact are 0 where a task has no such term.

    Attributes:
        forward: Weight of the x velocity.
        control: Weight of the control cost.
        contact: Weight of the contact cost.
        healthy: Reward for every step in a healthy state.
        ends: Whether an unhealthy state terminates the episode.
    """

    forward: float
    control: float
    contact: float
    healthy: float
    ends: bool

    @classmethod
    def of(cls, env: Any) -> Terms:
        """Return the weights of Gymnasium's environment."""
        return cls(
            forward=env._forward_reward_weight,
            control=env._ctrl_cost_weight,
            contact=getattr(env, "_contact_cost_weight", 0.0),
            healthy=getattr(env, "_healthy_reward", 0.0),
            ends=getattr(env, "_terminate_when_unhealthy", False),
        )

    def judgement(self, velocity: Floats, healthy: NDArray[np.bool_], costs: NDArray[Any]) -> Judgement:
        """Return the rewards and terminations of a task with unhealthy states, `[E]` each."""
        return self.forward * velocity + healthy * self.healthy - costs, ~healthy & self.ends


def _inside(values: Floats, limits: tuple[float, float]) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (limits[0] < values) & (values < limits[1])
    return inside


class Forward:
    """HalfCheetah and Swimmer, which reward forward speed minus the control cost and never terminate."""

    fields: tuple[str, ...] = ("qpos", "qvel")

    def __init__(self, env: Any, n_hidden: int) -> None:
        self._first = n_hidden * env._exclude_current_positions_from_observation
        self._terms = Terms.of(env)

    def position(self, state: State) -> Floats:
        return state["qpos"][:, 0]

    def observe(self, state: State) -> Floats:
        return np.concatenate((state["qpos"][:, self._first :], state["qvel"]), 1)

    def judge(self, state: State, velocity: Floats, actions: NDArray[Any]) -> Judgement:
        return self._terms.forward * velocity - cost(self._terms.control, actions), never(state)


class Upright:
    """Hopper and Walker2d, which also reward staying upright, and terminate when that fails."""

    fields: tuple[str, ...] = ("qpos", "qvel")

    def __init__(self, env: Any) -> None:
        self._first = int(env._exclude_current_positions_from_observation)
        self._terms = Terms.of(env)
        self._z_range, self._angle_range = env._healthy_z_range, env._healthy_angle_range
        self._state_range = getattr(env, "_healthy_state_range", None)

    def position(self, state: State) -> Floats:
        return state["qpos"][:, 0]

    def observe(self, state: State) -> Floats:
        return np.concatenate((state["qpos"][:, self._first :], clipped(state["qvel"])), 1)

    def judge(self, state: State, velocity: Floats, actions: NDArray[Any]) -> Judgement:
        return self._terms.judgement(velocity, self._is_healthy(state), cost(self._terms.control, actions))

    def _is_healthy(self, state: State) -> NDArray[np.bool_]:
        healthy = _inside(state["qpos"][:, 1], self._z_range) & _inside(state["qpos"][:, 2], self._angle_range)
        if self._state_range is not None:
            healthy &= _inside(state["qpos"][:, 2:], self._state_range).all(1)
            healthy &= _inside(state["qvel"], self._state_range).all(1)
        return healthy


class Ant:
    """Ant, which moves in the plane, has a cost for contact forces, and observes them."""

    fields: tuple[str, ...] = ("qpos", "qvel", "xpos", CONTACT_FORCES)

    def __init__(self, env: Any) -> None:
        self._first = 2 * env._exclude_current_positions_from_observation
        self._body = env.data.body(env._main_body).id
        self._terms = Terms.of(env)
        self._force_range = env._contact_force_range
        self._observes_forces = env._include_cfrc_ext_in_observation
        self._z_range = env._healthy_z_range

    def position(self, state: State) -> Floats:
        return state["xpos"][:, self._body, 0]

    def observe(self, state: State) -> Floats:
        parts = [state["qpos"][:, self._first :], state["qvel"]]
        if self._observes_forces:
            parts.append(flat(self._forces(state)[:, 1:]))
        return np.concatenate(parts, 1)

    def judge(self, state: State, velocity: Floats, actions: NDArray[Any]) -> Judgement:
        z = state["qpos"][:, 2]
        healthy = (self._z_range[0] <= z) & (z <= self._z_range[1])
        healthy &= np.isfinite(state["qpos"]).all(1) & np.isfinite(state["qvel"]).all(1)
        costs = cost(self._terms.control, actions) + cost(self._terms.contact, self._forces(state))
        return self._terms.judgement(velocity, healthy, costs)

    def _forces(self, state: State) -> Floats:
        forces: Floats = np.clip(state[CONTACT_FORCES], *self._force_range)
        return forces


class Humanoid(Bodies):
    """Humanoid, which rewards the progress of its centre of mass."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self._mass = env.model.body_mass[:, None]
        self._terms = Terms.of(env)
        self._cost_range = env._contact_cost_range
        self._z_range = env._healthy_z_range

    def position(self, state: State) -> Floats:
        center: Floats = (self._mass * state["xipos"]).sum(1) / self._mass.sum()
        return center[:, 0]

    def judge(self, state: State, velocity: Floats, actions: NDArray[Any]) -> Judgement:
        healthy = _inside(state["qpos"][:, 2], self._z_range)
        contact_cost = np.clip(cost(self._terms.contact, state[CONTACT_FORCES]), *self._cost_range)
        return self._terms.judgement(velocity, healthy, cost(self._terms.control, state["ctrl"]) + contact_cost)


LOCOMOTION: Mapping[str, Callable[[Any], Task]] = {
    "half_cheetah_v5:HalfCheetahEnv": partial(Forward, n_hidden=1),
    "swimmer_v5:SwimmerEnv": partial(Forward, n_hidden=2),
    "hopper_v5:HopperEnv": Upright,
    "walker2d_v5:Walker2dEnv": Upright,
    "ant_v5:AntEnv": Ant,
    "humanoid_v5:HumanoidEnv": Humanoid,
}
"""Tasks by the ends of the entry points that Gymnasium has registered."""
