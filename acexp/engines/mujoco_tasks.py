"""Observations, rewards and terminations of Gymnasium's MuJoCo v5 locomotion tasks, for whole batches in numpy.

Every constant is read from Gymnasium's own environment and every expression keeps its order of operations and its
dtypes, so that the results are equal to the last bit. E is the number of environments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Judgement = tuple[Floats, NDArray[np.bool_]]
"""Rewards, and whether the episode terminated, `[E]` each."""
State = Mapping[str, Floats]
"""Fields of every environment's MjData, `[E, *shape of the field]`, by the field's name."""

VELOCITY_LIMIT = 10.0


class Task(Protocol):
    """The observations and rewards of one kind of environment, built from Gymnasium's unwrapped environment.

    Attributes:
        fields: The fields of MjData that the methods read.
        needs_contact_forces: Whether `mj_rnePostConstraint` has to be called after each step.
    """

    fields: tuple[str, ...]
    needs_contact_forces: bool

    def position(self, state: State) -> Floats:
        """Return the x position whose progress is rewarded, `[E]`."""

    def observe(self, state: State) -> Floats:
        """Return the observations, `[E, O]`."""

    def judge(self, state: State, velocity: Floats, actions: NDArray[Any]) -> Judgement:
        """Return the rewards and terminations of a step, from the x velocity `[E]` and the actions `[E, A]`."""


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

    def control_cost(self, controls: NDArray[Any]) -> NDArray[Any]:
        """Compute `weight * |controls|^2`, `[E, A]` -> `[E]`, in the controls' own dtype."""
        cost: NDArray[Any] = self.control * np.square(controls).sum(-1)
        return cost

    def contact_cost(self, forces: Floats) -> Floats:
        """Compute `weight * |forces|^2` over all bodies, `[E, bodies, 6]` -> `[E]`."""
        cost: Floats = self.contact * _flat(np.square(forces)).sum(1)
        return cost

    def judgement(self, velocity: Floats, healthy: NDArray[np.bool_], costs: NDArray[Any]) -> Judgement:
        """Return the rewards and terminations of a task with unhealthy states, `[E]` each."""
        return self.forward * velocity + healthy * self.healthy - costs, ~healthy & self.ends


def _flat(values: Floats) -> Floats:
    return values.reshape(len(values), -1)


class ForwardTask:
    """HalfCheetah and Swimmer, which reward forward speed minus the control cost and never terminate."""

    fields: tuple[str, ...] = ("qpos", "qvel")
    needs_contact_forces = False

    def __init__(self, env: Any, n_hidden: int) -> None:
        self._first = n_hidden * env._exclude_current_positions_from_observation
        self._terms = Terms.of(env)

    def position(self, state: State) -> Floats:
        return state["qpos"][:, 0]

    def observe(self, state: State) -> Floats:
        return np.concatenate((state["qpos"][:, self._first :], state["qvel"]), 1)

    def judge(self, state: State, velocity: Floats, actions: NDArray[Any]) -> Judgement:
        reward = self._terms.forward * velocity - self._terms.control_cost(actions)
        return reward, np.zeros(len(reward), np.bool_)


class HealthyTask:
    """Hopper and Walker2d, which also reward staying upright, and terminate when that fails."""

    fields: tuple[str, ...] = ("qpos", "qvel")
    needs_contact_forces = False

    def __init__(self, env: Any) -> None:
        self._first = int(env._exclude_current_positions_from_observation)
        self._terms = Terms.of(env)
        self._z_range, self._angle_range = env._healthy_z_range, env._healthy_angle_range
        self._state_range = getattr(env, "_healthy_state_range", None)

    def position(self, state: State) -> Floats:
        return state["qpos"][:, 0]

    def observe(self, state: State) -> Floats:
        velocity = np.clip(state["qvel"], -VELOCITY_LIMIT, VELOCITY_LIMIT)
        return np.concatenate((state["qpos"][:, self._first :], velocity), 1)

    def judge(self, state: State, velocity: Floats, actions: NDArray[Any]) -> Judgement:
        return self._terms.judgement(velocity, self._is_healthy(state), self._terms.control_cost(actions))

    def _is_healthy(self, state: State) -> NDArray[np.bool_]:
        healthy = _inside(state["qpos"][:, 1], self._z_range) & _inside(state["qpos"][:, 2], self._angle_range)
        if self._state_range is not None:
            healthy &= _inside(state["qpos"][:, 2:], self._state_range).all(1)
            healthy &= _inside(state["qvel"], self._state_range).all(1)
        return healthy


def _inside(values: Floats, limits: tuple[float, float]) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (limits[0] < values) & (values < limits[1])
    return inside


class Ant:
    """Ant, which moves in the plane, has a cost for contact forces, and observes them."""

    fields: tuple[str, ...] = ("qpos", "qvel", "cfrc_ext", "xpos")
    needs_contact_forces = True

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
            parts.append(_flat(self._forces(state)[:, 1:]))
        return np.concatenate(parts, 1)

    def judge(self, state: State, velocity: Floats, actions: NDArray[Any]) -> Judgement:
        z = state["qpos"][:, 2]
        healthy = (self._z_range[0] <= z) & (z <= self._z_range[1])
        healthy &= np.isfinite(state["qpos"]).all(1) & np.isfinite(state["qvel"]).all(1)
        costs = self._terms.control_cost(actions) + self._terms.contact_cost(self._forces(state))
        return self._terms.judgement(velocity, healthy, costs)

    def _forces(self, state: State) -> Floats:
        forces: Floats = np.clip(state["cfrc_ext"], *self._force_range)
        return forces


class Humanoid:
    """Humanoid, which rewards progress of its centre of mass and observes every body's inertia, velocity and forces."""

    fields: tuple[str, ...] = ("qpos", "qvel", "cinert", "cvel", "qfrc_actuator", "cfrc_ext", "xipos", "ctrl")
    needs_contact_forces = True

    def __init__(self, env: Any) -> None:
        self._first = 2 * env._exclude_current_positions_from_observation
        self._mass = env.model.body_mass[:, None]
        self._terms = Terms.of(env)
        self._cost_range = env._contact_cost_range
        self._z_range = env._healthy_z_range
        self._observed = [
            (field, first)
            for field, first, is_observed in (
                ("cinert", 1, env._include_cinert_in_observation),
                ("cvel", 1, env._include_cvel_in_observation),
                ("qfrc_actuator", 6, env._include_qfrc_actuator_in_observation),
                ("cfrc_ext", 1, env._include_cfrc_ext_in_observation),
            )
            if is_observed
        ]

    def position(self, state: State) -> Floats:
        center: Floats = (self._mass * state["xipos"]).sum(1) / self._mass.sum()
        return center[:, 0]

    def observe(self, state: State) -> Floats:
        parts = [_flat(state[field][:, first:]) for field, first in self._observed]
        return np.concatenate((state["qpos"][:, self._first :], state["qvel"], *parts), 1)

    def judge(self, state: State, velocity: Floats, actions: NDArray[Any]) -> Judgement:
        healthy = _inside(state["qpos"][:, 2], self._z_range)
        contact_cost = np.clip(self._terms.contact_cost(state["cfrc_ext"]), *self._cost_range)
        return self._terms.judgement(velocity, healthy, self._terms.control_cost(state["ctrl"]) + contact_cost)


TASKS: Mapping[str, Callable[[Any], Task]] = {
    "gymnasium.envs.mujoco.half_cheetah_v5:HalfCheetahEnv": lambda env: ForwardTask(env, n_hidden=1),
    "gymnasium.envs.mujoco.swimmer_v5:SwimmerEnv": lambda env: ForwardTask(env, n_hidden=2),
    "gymnasium.envs.mujoco.hopper_v5:HopperEnv": HealthyTask,
    "gymnasium.envs.mujoco.walker2d_v5:Walker2dEnv": HealthyTask,
    "gymnasium.envs.mujoco.ant_v5:AntEnv": Ant,
    "gymnasium.envs.mujoco.humanoid_v5:HumanoidEnv": Humanoid,
}
"""The task of each entry point that Gymnasium has registered."""
