"""The engine for Gymnasium's MuJoCo v5 locomotion tasks: one model, one MjData per environment, several threads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import gymnasium as gym
import numpy as np
import torch
from gymnasium.utils import seeding
from numpy.typing import NDArray

from acexp.core.configs.engines import EngineConfig, EnvironmentConfig
from acexp.engines.base import ENGINES, EngineBase, EnvironmentState, Step
from acexp.engines.clock import EpisodeClock
from acexp.engines.environment import make, spec_of
from acexp.engines.mujoco_tasks import TASKS
from acexp.engines.randomness import generator_at
from acexp.engines.threads import ThreadPool, useful_threads
from acexp.system.cores import available_cores
from acexp.system.packages import Package


@ENGINES.register("mujoco")
class Mujoco(EngineBase):
    """Steps MuJoCo's locomotion tasks in threads, equal to Gymnasium's to the last bit.

    Each environment keeps its MjData, and so its solver's warm start, from step to step. `mj_step` releases Python's
    global lock, so threads step environments side by side. One of Gymnasium's own environments provides the constants,
    and each reset runs its code on the data and the generator of the environment that is reset.
    """

    packages: ClassVar[tuple[Package, ...]] = (
        Package("mujoco", "HalfCheetah and other MuJoCo environments", "pip install mujoco"),
    )
    preference = 50

    def __init__(self, model: Any, seeds: list[int], max_episode_steps: int | None, n_threads: int) -> None:
        import mujoco

        self._env = model
        self._task = TASKS[model.spec.entry_point](model)
        self._mj_step, self._mj_forces = mujoco.mj_step, mujoco.mj_rnePostConstraint
        self._mj_reset = mujoco.mj_resetData
        self._seeds = seeds
        self._random: list[np.random.Generator] = []
        self._data = [mujoco.MjData(model.model) for _ in seeds]
        self._controls = [data.ctrl for data in self._data]
        self._state = {field: np.zeros((len(seeds), *getattr(model.data, field).shape)) for field in self._task.fields}
        self._gathered = [
            [(rows[i], getattr(data, field)) for field, rows in self._state.items()]
            for i, data in enumerate(self._data)
        ]
        self._clock = EpisodeClock(len(seeds), max_episode_steps)
        self._position = np.zeros(len(seeds))
        self._actions: NDArray[Any] = np.zeros(0)
        self._threads = ThreadPool(useful_threads(len(seeds), n_threads), self._advance)
        self.observation_space: gym.Space[Any] = model.observation_space
        self.action_space: gym.Space[Any] = model.action_space

    @classmethod
    def cannot_step(cls, environment: EnvironmentConfig) -> str | None:
        missing = super().cannot_step(environment)
        if missing is not None:
            return missing
        spec = spec_of(environment)
        if spec.entry_point not in TASKS or spec.additional_wrappers:
            return "it steps Gymnasium's HalfCheetah, Hopper, Walker2d, Swimmer, Ant and Humanoid v5 only"
        return None

    @classmethod
    def open(cls, environment: EnvironmentConfig, seeds: list[int], config: EngineConfig) -> Self:
        wrapped = make(environment)
        limit = wrapped.spec.max_episode_steps if wrapped.spec else None
        return cls(wrapped.unwrapped, seeds, limit, config.threads or available_cores())

    def reset(self) -> Any:
        self._random = [seeding.np_random(seed)[0] for seed in self._seeds]
        self._clock.reset()
        for i in range(len(self._seeds)):
            self._restart(i)
        self._position = self._task.position(self._state).copy()
        return self._task.observe(self._state)

    def step(self, actions: NDArray[Any]) -> Step:
        self._actions = actions
        starting = self._clock.done
        self._threads.run(range(len(starting)))
        for i in np.flatnonzero(starting).tolist():
            self._restart(i)
        position = self._task.position(self._state)
        velocity = (position - self._position) / self._env.dt
        self._position = position.copy()
        reward, terminated = self._task.judge(self._state, velocity, actions)
        truncated = self._clock.end_step(reward, terminated)
        return Step(self._task.observe(self._state), reward, terminated, truncated)

    def save(self) -> list[EnvironmentState]:
        return [
            {
                "physics": self._physics(i),
                "position": float(self._position[i]),
                **self._clock.state(i),
                "random": self._random[i].bit_generator.state,
            }
            for i in range(len(self._data))
        ]

    def _physics(self, i: int) -> torch.Tensor:
        """Return all values that `mj_step` depends on, the solver's warm start included, float64 `[size]`."""
        import mujoco

        values = np.empty(mujoco.mj_stateSize(self._env.model, mujoco.mjtState.mjSTATE_INTEGRATION))
        mujoco.mj_getState(self._env.model, self._data[i], values, mujoco.mjtState.mjSTATE_INTEGRATION)
        return torch.from_numpy(values)

    def load(self, states: Sequence[EnvironmentState]) -> str | None:
        import mujoco

        for i, state in enumerate(states):
            physics = state["physics"].numpy()
            mujoco.mj_setState(self._env.model, self._data[i], physics, mujoco.mjtState.mjSTATE_INTEGRATION)
        self._position = np.array([state["position"] for state in states])
        self._clock.load(states)
        self._random = [generator_at(state["random"]) for state in states]
        return None

    def _advance(self, i: int) -> None:
        """Step one environment; any thread may call it, but only one at a time for one environment."""
        if self._clock.done[i]:
            return
        self._controls[i][:] = self._actions[i]
        self._mj_step(self._env.model, self._data[i], self._env.frame_skip)
        if self._task.needs_contact_forces:
            self._mj_forces(self._env.model, self._data[i])
        self._gather(i)

    def _restart(self, i: int) -> None:
        self._mj_reset(self._env.model, self._data[i])
        self._env.data, self._env.np_random = self._data[i], self._random[i]
        self._env.reset_model()
        self._gather(i)

    def _gather(self, i: int) -> None:
        for row, values in self._gathered[i]:
            row[...] = values

    def close(self) -> None:
        self._threads.close()
        self._env.close()
