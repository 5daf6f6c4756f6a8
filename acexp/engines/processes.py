"""The engine that steps each of Gymnasium's environments in a process of its own."""

from __future__ import annotations

import os
import pickle
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from typing import Any, Self

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AsyncVectorEnv
from gymnasium.vector.utils import read_from_shared_memory
from numpy.typing import NDArray

from acexp.core.configs.engines import EngineConfig, EnvironmentConfig
from acexp.core.errors import UserError
from acexp.core.stopping import ShouldStop, StopRequestedError, never
from acexp.engines.base import ENGINES, EngineBase, EnvironmentState, Step
from acexp.engines.contract import FaultyEnvironmentError, faulty
from acexp.engines.environment import make, spec_of
from acexp.engines.gymnasium import DIFFERENT_SPACES, Gymnasium
from acexp.system.processes import cause_of_end, ignore_stopping, prepare_processes, starting
from acexp.system.quiet import quiet_warnings

POLL_SECONDS = 0.1
"""How often the engine asks, while environments are being stepped, whether it should stop."""

CLOSE_SECONDS = 5.0
"""The time that environments have to close; a process that is still stepping then is killed."""


@ENGINES.register("processes")
class Processes(EngineBase):
    """Steps each environment in a process of its own, equal to the engine gymnasium; for environments slow in Python.

    Observations are written into memory that Gymnasium's AsyncVectorEnv shares between the processes. In each of them,
    the engine gymnasium steps a single environment, so that errors, states and resumed episodes are those of that
    engine too.
    """

    uses_gymnasium = True

    def __init__(self, workers: _Workers) -> None:
        self._workers = workers
        self._info_keys: Sequence[str] = ()
        self.observation_space: gym.Space[Any] = workers.single_observation_space
        self.action_space: gym.Space[Any] = workers.single_action_space

    @classmethod
    def open(cls, environment: EnvironmentConfig, seeds: list[int], config: EngineConfig) -> Self:
        try:
            return cls(_Workers(environment, seeds))
        except OSError as error:
            raise UserError(
                f"{len(seeds)} processes cannot be started, one for each environment: {error}",
                key="engine.name",
                value=config.name,
                remedy="train with fewer environments (algo.n_envs), or set engine=gymnasium",
            ) from error

    @property
    def should_stop(self) -> ShouldStop:
        """Asked every POLL_SECONDS while environments are being stepped."""
        return self._workers.should_stop

    @should_stop.setter
    def should_stop(self, should_stop: ShouldStop) -> None:
        self._workers.should_stop = should_stop

    @property
    def info_keys(self) -> Sequence[str]:
        """The keys of `final_info`."""
        return self._info_keys

    @info_keys.setter
    def info_keys(self, info_keys: Sequence[str]) -> None:
        self._info_keys = info_keys
        self._workers.ask("info_keys", [info_keys] * self._workers.num_envs)

    def reset(self) -> Any:
        self._workers.ask("reset", [None] * self._workers.num_envs)
        return self._workers.observations

    def step(self, actions: NDArray[Any]) -> Step:
        rewards, terminated, truncated, infos = zip(*self._workers.ask("step", actions), strict=True)
        if self._info_keys:
            self.final_info = {i: info for i, info in enumerate(infos) if info is not None}
        return Step(
            self._workers.observations,
            np.array(rewards, np.float64),
            np.array(terminated, np.bool_),
            np.array(truncated, np.bool_),
        )

    def save(self) -> list[EnvironmentState] | None:
        """Return what the engine gymnasium saves, see Gymnasium.save."""
        saved = [pickle.loads(each) for each in self._workers.ask("save", [None] * self._workers.num_envs)]
        return None if None in saved else [state for (state,) in saved]

    def load(self, states: Sequence[EnvironmentState]) -> str | None:
        obstacles = self._workers.ask("load", [pickle.dumps([state]) for state in states])
        return next((obstacle for obstacle in obstacles if obstacle is not None), None)

    def close(self) -> None:
        self._workers.close()


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes an environment, also in a process that has not imported the module that registered it."""

    environment: EnvironmentConfig
    spec: EnvSpec

    def __call__(self) -> gym.Env[Any, Any]:
        gym.registry.setdefault(self.spec.id, self.spec)
        return make(self.environment)


class _Workers(AsyncVectorEnv[Any, Any]):
    """The processes of AsyncVectorEnv and the memory that they share, with commands and errors of acexp's own.

    Attributes:
        should_stop: Asked while answers are awaited; StopRequestedError is raised once it returns True.
    """

    def __init__(self, environment: EnvironmentConfig, seeds: list[int]) -> None:
        self.should_stop: ShouldStop = never
        self._id = environment.id
        self.parent_pipes, self.processes = [], []
        context = prepare_processes(__name__)
        try:
            with starting(context):
                super().__init__(
                    [_Maker(environment, spec_of(environment))] * len(seeds),
                    copy=False,
                    context=context.get_start_method(),
                    daemon=False,  # an environment may start processes too
                    worker=partial(_serve, environment.id, tuple(seeds)),
                )
        except BaseException:
            self.closed = True
            _end(self.parent_pipes, self.processes)
            raise
        self._end = Finalize(self, _end, (self.parent_pipes, self.processes), exitpriority=0)

    def _check_spaces(self) -> None:
        """Receive the first answers of all processes, which are the spaces of their environments."""
        expected = (self.single_observation_space, self.single_action_space)
        for i, process in enumerate(self.processes):
            process.name = f"environment {i}"
            if self._receive(i) != expected:
                raise faulty(self._id, DIFFERENT_SPACES)

    def ask(self, command: str, data: Sequence[Any] | NDArray[Any]) -> list[Any]:
        """Send a command to all processes, each with its own data, and return their answers.

        Raises FaultyEnvironmentError for the first environment that failed, or whose process has ended.
        """
        for i, pipe in enumerate(self.parent_pipes):
            try:
                pipe.send((command, data[i]))
            except OSError:
                raise self._lost(i) from None
        return [self._receive(i) for i in range(self.num_envs)]

    def _receive(self, i: int) -> Any:
        pipe = self.parent_pipes[i]
        try:
            while not pipe.poll(POLL_SECONDS):
                if self.should_stop():
                    raise StopRequestedError
            answer = pipe.recv()
        except (EOFError, OSError):
            raise self._lost(i) from None
        if not isinstance(answer, _Failure):
            return answer
        error = answer.error
        error.add_note(answer.traceback)
        if isinstance(error, FaultyEnvironmentError):
            error.index = i
        raise error

    def _lost(self, i: int) -> FaultyEnvironmentError:
        process = self.processes[i]
        process.join(CLOSE_SECONDS)
        return FaultyEnvironmentError(
            f"{self._id}: the process of its {process.name} ended without a word ({cause_of_end(process.exitcode)})",
            key="env.id",
            value=self._id,
            remedy="`acexp resume` goes on from the last checkpoint; if memory is short, train with fewer environments",
            index=i,
        )

    def close_extras(self, timeout: float | None = None, terminate: bool = False) -> None:
        """End all processes, which close their environments."""
        self._end()


def _end(pipes: Sequence[Connection], processes: Sequence[BaseProcess]) -> None:
    """End all processes: each closes its environment once its pipe is closed, and is killed if that takes too long."""
    for pipe in pipes:
        pipe.close()
    deadline = time.monotonic() + CLOSE_SECONDS
    for process in processes:
        if process.ident is None:
            continue  # it could not be started
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()


@dataclass(frozen=True, slots=True)
class _Failure:
    """The answer of a process whose environment failed, with the traceback, which an exception loses on its way."""

    error: BaseException
    traceback: str


def _serve(
    environment_id: str,
    seeds: Sequence[int],
    index: int,
    make_environment: Callable[[], gym.Env[Any, Any]],
    *shared_with_parent: Any,
) -> None:
    """Step one environment in this process until its parent closes the pipe; the parameters are AsyncVectorEnv's."""
    pipe, parent_pipe, shared_memory, *_ = shared_with_parent
    ignore_stopping()
    quiet_warnings()
    parent_pipe.close()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, OSError):  # the pipe was closed
        try:
            with closing(Gymnasium.around(environment_id, [make_environment()], [seeds[index]])) as engine:
                shared = read_from_shared_memory(engine.observation_space, shared_memory, n=len(seeds))
                pipe.send((engine.observation_space, engine.action_space))
                while True:
                    command, data = pipe.recv()
                    pipe.send(_answer(engine, command, data, partial(_write, shared, index)))
        except (EOFError, OSError):
            raise
        except Exception as error:
            shown = error if isinstance(error, UserError) else RuntimeError(f"{type(error).__name__}: {error}")
            pipe.send(_Failure(shown, traceback.format_exc()))


def _answer(engine: Gymnasium, command: str, data: Any, write: Callable[[Any], None]) -> Any:
    """Return the answer to a command; observations are written into the shared memory."""
    match command:
        case "reset":
            write(engine.reset())
            return None
        case "step":
            step = engine.step(np.asarray(data)[np.newaxis])
            write(step.observation)
            return float(step.reward[0]), bool(step.terminated[0]), bool(step.truncated[0]), engine.final_info.get(0)
        case "info_keys":
            engine.info_keys = data
            return None
        case "save":
            # In bytes, as torch would send tensors through files that both processes have to keep open.
            return pickle.dumps(engine.save())
        case "load":
            return engine.load(pickle.loads(data))
    raise ValueError(f"there is no command {command!r}")


def _write(shared: Any, index: int, batch: Any) -> None:
    """Copy a batch of one observation into row `index` of the shared arrays, which are nested as observations are."""
    if isinstance(shared, Mapping):
        for key, part in shared.items():
            _write(part, index, batch[key])
    elif isinstance(shared, tuple):
        for part, values in zip(shared, batch, strict=True):
            _write(part, index, values)
    else:
        shared[index] = batch[0]


def _end_with_parent() -> None:
    """End this process once its parent is gone, also in the middle of a step that never ends."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
