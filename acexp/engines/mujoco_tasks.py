"""Observations, rewards and terminations of Gymnasium's MuJoCo v5 tasks, for whole batches in numpy.

Every constant is read from Gymnasium's own environment and every expression keeps its order of operations and its
dtypes, so that the results are equal to the last bit. E is the number of environments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
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

LARGEST_ANGLE = 0.2
"""The angle beyond which the pole of InvertedPendulum has fallen."""

_LIMIT = 10
"""Some tasks clip their velocities, and forces, to this absolute value."""


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
        return _cost(self.control, controls)

    def contact_cost(self, forces: Floats) -> Floats:
        """Compute `weight * |forces|^2` over all bodies, `[E, bodies, 6]` -> `[E]`."""
        return _cost(self.contact, forces)

    def judgement(self, velocity: Floats, healthy: NDArray[np.bool_], costs: NDArray[Any]) -> Judgement:
        """Return the rewards and terminations of a task with unhealthy states, `[E]` each."""
        return self.forward * velocity + healthy * self.healthy - costs, ~healthy & self.ends


def _flat(values: NDArray[Any]) -> NDArray[Any]:
    return values.reshape(len(values), -1)


def _cost(weight: float, values: NDArray[Any]) -> NDArray[Any]:
    """Compute `weight * |values|^2`, `[E, ...]` -> `[E]`, in the values' own dtype."""
    cost: NDArray[Any] = weight * _flat(np.square(values)).sum(1)
    return cost


def _inside(values: Floats, limits: tuple[float, float]) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (limits[0] < values) & (values < limits[1])
    return inside


def _never(state: State) -> NDArray[np.bool_]:
    """Return the terminations of a task that has none, `[E]`."""
    return np.zeros(len(state["qpos"]), np.bool_)


def _length(vectors: Floats) -> Floats:
    """Return the lengths of vectors as `np.linalg.norm` computes that of a single one, `[E, 3]` -> `[E]`."""
    length: Floats = np.sqrt(np.vecdot(vectors, vectors))
    return length


def _squared(values: Floats) -> Floats:
    """Return `x**2` as numpy computes that of a single number, `[E]`.

    That is C's `pow(x, 2)`, which differs from `x * x` in the last bit of one number in a thousand.
    """
    return np.array([value**2 for value in values.tolist()])


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
        return self._terms.forward * velocity - self._terms.control_cost(actions), _never(state)


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
        return np.concatenate((state["qpos"][:, self._first :], np.clip(state["qvel"], -_LIMIT, _LIMIT)), 1)

    def judge(self, state: State, velocity: Floats, actions: NDArray[Any]) -> Judgement:
        return self._terms.judgement(velocity, self._is_healthy(state), self._terms.control_cost(actions))

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
            parts.append(_flat(self._forces(state)[:, 1:]))
        return np.concatenate(parts, 1)

    def judge(self, state: State, velocity: Floats, actions: NDArray[Any]) -> Judgement:
        z = state["qpos"][:, 2]
        healthy = (self._z_range[0] <= z) & (z <= self._z_range[1])
        healthy &= np.isfinite(state["qpos"]).all(1) & np.isfinite(state["qvel"]).all(1)
        costs = self._terms.control_cost(actions) + self._terms.contact_cost(self._forces(state))
        return self._terms.judgement(velocity, healthy, costs)

    def _forces(self, state: State) -> Floats:
        forces: Floats = np.clip(state[CONTACT_FORCES], *self._force_range)
        return forces


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
        parts = [_flat(state[field][:, first:]) for field, first in self._observed]
        return np.concatenate((state["qpos"][:, self._first :], state["qvel"], *parts), 1)


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
        contact_cost = np.clip(self._terms.contact_cost(state[CONTACT_FORCES]), *self._cost_range)
        return self._terms.judgement(velocity, healthy, self._terms.control_cost(state["ctrl"]) + contact_cost)


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
        control_cost = _cost(self._control, state["ctrl"])
        impact_cost = np.clip(_cost(self._impact, state[CONTACT_FORCES]), *self._impact_range)
        return state["qpos"][:, 2] / self._timestep - control_cost - impact_cost + 1, _never(state)


class InvertedPendulum(Stationary):
    """InvertedPendulum, which rewards every step in which the pole stands."""

    fields: tuple[str, ...] = ("qpos", "qvel")

    def __init__(self, env: Any) -> None:
        pass

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
        velocity = np.clip(state["qvel"], -_LIMIT, _LIMIT)
        force = np.clip(state["qfrc_constraint"][:, :1], -_LIMIT, _LIMIT)
        return np.concatenate((state["qpos"][:, :1], np.sin(angles), np.cos(angles), velocity, force), 1)

    def judge(self, state: State, velocity: Floats, actions: NDArray[Any]) -> Judgement:
        x, y = state["site_xpos"][:, 0, 0], state["site_xpos"][:, 0, 2]
        v1, v2 = state["qvel"][:, 1], state["qvel"][:, 2]
        terminated = y <= 1
        distance = 0.01 * _squared(x) + _squared(y - 2)
        speed = 1e-3 * _squared(v1) + 5e-3 * _squared(v2)
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
        distance = _length(self._offset(state)) * self._distance
        return -distance - _cost(self._control, actions), _never(state)

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
        distance, near = _length(thing - goal) * self._distance, _length(thing - tip) * self._near
        return -distance - _cost(self._control, actions) - near, _never(state)


def _bodies(env: Any, *names: str) -> list[int]:
    return [env.data.body(name).id for name in names]


_HOME = "gymnasium.envs.mujoco"

TASKS: Mapping[str, Callable[[Any], Task]] = {
    f"{_HOME}.half_cheetah_v5:HalfCheetahEnv": partial(Forward, n_hidden=1),
    f"{_HOME}.swimmer_v5:SwimmerEnv": partial(Forward, n_hidden=2),
    f"{_HOME}.hopper_v5:HopperEnv": Upright,
    f"{_HOME}.walker2d_v5:Walker2dEnv": Upright,
    f"{_HOME}.ant_v5:AntEnv": Ant,
    f"{_HOME}.humanoid_v5:HumanoidEnv": Humanoid,
    f"{_HOME}.humanoidstandup_v5:HumanoidStandupEnv": HumanoidStandup,
    f"{_HOME}.inverted_pendulum_v5:InvertedPendulumEnv": InvertedPendulum,
    f"{_HOME}.inverted_double_pendulum_v5:InvertedDoublePendulumEnv": InvertedDoublePendulum,
    f"{_HOME}.reacher_v5:ReacherEnv": Reacher,
    f"{_HOME}.pusher_v5:PusherEnv": Pusher,
}
"""The task of each entry point that Gymnasium has registered."""
