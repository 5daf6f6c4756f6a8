"""The engine for Gymnasium's MuJoCo v5 tasks: MuJoCo's own batch of simulations, stepped in its C++ threads."""

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
from acexp.engines.contract import STEP, raised
from acexp.engines.environment import close_quietly, make, spec_of
from acexp.engines.mujoco_control import CONTROL
from acexp.engines.mujoco_locomotion import LOCOMOTION
from acexp.engines.mujoco_tasks import CONTACT_FORCES
from acexp.engines.randomness import generator_at
from acexp.system.cores import available_cores
from acexp.system.packages import Package

TASKS = {f"gymnasium.envs.mujoco.{end}": task for end, task in {**LOCOMOTION, **CONTROL}.items()}
"""The task of each entry point that Gymnasium has registered."""

FIRST_WITH_BATCHES = 4
"""The first version of MuJoCo that has `mujoco.batch`."""

OTHER_MODEL = "the model has changed since they were saved, or MuJoCo's version"
"""Why simulations cannot continue from states of another size."""


@ENGINES.register("mujoco")
class Mujoco(EngineBase):
    """Steps Gymnasium's MuJoCo v5 tasks in C++ threads, equal to Gymnasium's to the last bit.

    A row of `mujoco.batch` holds all that a simulation depends on, its solver's warm start included, so that any thread
    can go on with it. One of Gymnasium's own environments provides the constants. It also resets: its code runs with
    the generator of the environment that is reset, and the state of its MjData becomes the row.
    """

    packages: ClassVar[tuple[Package, ...]] = (
        Package("mujoco", "HalfCheetah and other MuJoCo environments", "pip install -U mujoco"),
    )
    preference = 50

    def __init__(self, model: Any, seeds: list[int], max_episode_steps: int | None, n_threads: int) -> None:
        import mujoco
        from mujoco.batch import Batch

        self._env = model
        self._task = TASKS[model.spec.entry_point](model)
        self._mujoco, self._integrated = mujoco, mujoco.mjtState.mjSTATE_INTEGRATION
        self._frame_skip, self._seconds = model.frame_skip, model.dt
        self._seeds = seeds
        self._random: list[np.random.Generator] = []
        self._has_forces = CONTACT_FORCES in self._task.fields
        self._forces = np.zeros((len(seeds), *model.data.cfrc_ext.shape))
        # What contact forces are computed from remains only where each simulation has its own MjData.
        self._batch: Any = Batch(model.model, len(seeds), min(n_threads, len(seeds)), persistent=self._has_forces)
        self._controls = self._batch.bind("ctrl")
        self._state = {
            field: self._forces if field == CONTACT_FORCES else self._batch.bind(field) for field in self._task.fields
        }
        self._reset_state = {field: getattr(model.data, field)[np.newaxis] for field in self._task.fields}
        self._position = np.zeros(len(seeds))
        self._clock = EpisodeClock(len(seeds), max_episode_steps)
        self.observation_space: gym.Space[Any] = model.observation_space
        self.action_space: gym.Space[Any] = model.action_space

    @classmethod
    def cannot_step(cls, environment: EnvironmentConfig) -> str | None:
        missing = super().cannot_step(environment)
        if missing is not None:
            return missing
        spec = spec_of(environment)
        if spec.entry_point not in TASKS or spec.additional_wrappers:
            return "it steps Gymnasium's MuJoCo v5 tasks only"
        (package,) = cls.packages
        if package.version is not None and int(package.version.split(".")[0]) < FIRST_WITH_BATCHES:
            return f"it needs MuJoCo {FIRST_WITH_BATCHES}, and {package.version} is installed ({package.remedy})"
        if "xml_file" in {**spec.kwargs, **environment.kwargs} and _can_sleep(environment):
            return "bodies can sleep in its model, or it uses IPC, whose states MuJoCo does not save"
        return None

    @classmethod
    def open(cls, environment: EnvironmentConfig, seeds: list[int], config: EngineConfig) -> Self:
        wrapped = make(environment)
        limit = wrapped.spec.max_episode_steps if wrapped.spec else None
        return cls(wrapped.unwrapped, seeds, limit, config.threads or available_cores())

    def reset(self) -> Any:
        self._random = [seeding.np_random(seed)[0] for seed in self._seeds]
        self._clock.reset()
        return np.stack([self._restart(i) for i in range(len(self._seeds))])

    def step(self, actions: NDArray[Any]) -> Step:
        self._controls[...] = actions
        done = self._clock.done
        starting = np.flatnonzero(done).tolist() if np.count_nonzero(done) else []
        self._advance(np.flatnonzero(~done) if starting else None)
        position = self._task.position(self._state)
        velocity = (position - self._position) / self._seconds
        self._position[...] = position
        reward, terminated = self._task.judge(self._state, velocity, actions)
        truncated = self._clock.end_step(reward, terminated)
        observation = self._task.observe(self._state)
        for i in starting:
            observation[i] = self._restart(i)
        return Step(observation, reward, terminated, truncated)

    def _advance(self, ids: NDArray[np.int64] | None) -> None:
        """Step the simulations of these numbers, by default all."""
        try:
            self._batch.step(ids, self._frame_skip)
        except self._mujoco.batch.SimulationError as error:
            raise raised(self._env.spec.id, STEP, error, int(error.ids[0])) from error
        if self._has_forces:
            for i in range(len(self._seeds)) if ids is None else ids.tolist():
                self._batch.get_data(i, self._env.data)
                self._mujoco.mj_rnePostConstraint(self._env.model, self._env.data)
                self._forces[i] = self._env.data.cfrc_ext

    def _restart(self, i: int) -> NDArray[np.float64]:
        """Begin a new episode of one environment as Gymnasium does, and return its first observation, `[O]`."""
        self._mujoco.mj_resetData(self._env.model, self._env.data)
        self._env.np_random = self._random[i]
        observation: NDArray[np.float64] = self._env.reset_model()
        self._mujoco.mj_getState(self._env.model, self._env.data, self._batch.state[i], self._integrated)
        self._position[i] = self._task.position(self._reset_state)[0]
        return observation

    def save(self) -> list[EnvironmentState]:
        return [
            {
                "physics": torch.from_numpy(row.copy()),
                "position": float(self._position[i]),
                **self._clock.state(i),
                "random": self._random[i].bit_generator.state,
            }
            for i, row in enumerate(self._batch.state)
        ]

    def load(self, states: Sequence[EnvironmentState]) -> str | None:
        if any(len(state["physics"]) != self._batch.nstate for state in states):
            return OTHER_MODEL
        self._batch.state[...] = np.stack([state["physics"].numpy() for state in states])
        self._position[...] = [state["position"] for state in states]
        self._clock.load(states)
        self._random = [generator_at(state["random"]) for state in states]
        return None

    def close(self) -> None:
        # The C++ threads end with the last reference to the batch, and its arrays have one each.
        self._batch, self._controls, self._state = None, None, {}
        self._env.close()


def _can_sleep(environment: EnvironmentConfig) -> bool:
    import mujoco

    env = make(environment)
    flags: int = env.unwrapped.model.opt.enableflags  # type: ignore[attr-defined]
    close_quietly(env)
    return bool(flags & (mujoco.mjtEnableBit.mjENBL_SLEEP | mujoco.mjtEnableBit.mjENBL_IPC))
