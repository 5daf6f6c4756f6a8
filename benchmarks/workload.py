"""One process of `throughput.py`: builds its work, prints "ready", waits for "go", measures, prints JSON."""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from tables import WORK

SAME_WORK = (
    "algo.n_envs=8", "algo.n_steps=5", "algo.normalize_advantage=false", "reward_normalizer=none", "optim.anneal=none",
    "optim.algorithm=rmsprop", "optim.learning_rate=7e-4",
)  # fmt: skip
NATURE = (
    "arch=shared", "algo.n_envs=16", "normalizer=bounds", "arch.cnn.channels=[32,64,64]",
    "arch.cnn.kernel_sizes=[8,4,3]", "arch.cnn.strides=[4,2,1]", "arch.cnn.features=512",
)  # fmt: skip
IDS = {
    "cliffwalking": "CliffWalking-v1",
    "lunarlander": "LunarLander-v3",
    "halfcheetah": "HalfCheetah-v5",
    "pong": "PongNoFrameskip-v4",
}


def overrides(work: str) -> list[str]:
    """Return overrides for the same work as that of Stable-Baselines3's defaults; `work`: `pong`, or `pong-ENGINE`."""
    environment, _, engine = work.partition("-")
    return [
        f"env={environment}",
        *([f"engine={engine}"] if engine else []),
        *SAME_WORK,
        *(NATURE if environment == "pong" else ("arch=separate", "normalizer=none")),
    ]


def engine_work(work: str, n_envs: int, cores: int) -> Callable[[], int]:
    """Return a function that steps the engine that acexp trains with, with random actions."""
    from acexp.algorithm.assembly import resolve
    from acexp.config.application import compose
    from acexp.engines import open_engine

    config = resolve(compose(overrides(work)), cores)
    engine = open_engine(config.env, list(range(n_envs)), config.engine)
    engine.reset()
    actions = np.stack([engine.action_space.sample() for _ in range(n_envs)])

    def step() -> int:
        engine.step(actions)
        return n_envs

    return step


def simulator_work(work: str, n_envs: int, cores: int) -> Callable[[], int]:
    """Return a function that steps the simulator itself, without acexp: its rate is the limit of all training.

    HalfCheetah is MuJoCo's own batch, without observations, rewards and resets; Pong is ALE's vector environment, and
    LunarLander envpool's or a loop over Gymnasium's environments, with fixed actions.
    """
    if work == "halfcheetah":
        return _mujoco_batch(n_envs, cores)
    if work == "lunarlander-gymnasium":
        return _loop("lunarlander", n_envs)
    if work == "pong":
        from ale_py.vector_env import AtariVectorEnv

        vector: Any = AtariVectorEnv("pong", n_envs, num_threads=cores, reward_clipping=False)
        actions = np.zeros(n_envs, np.int64)
    else:
        import envpool

        vector = envpool.make_gymnasium(IDS[work], num_envs=n_envs, num_threads=cores, seed=0)
        actions = np.zeros(n_envs, np.int32)
    vector.reset()

    def step() -> int:
        vector.step(actions)
        return n_envs

    return step


def _mujoco_batch(n_envs: int, cores: int) -> Callable[[], int]:
    import gymnasium as gym
    from mujoco.batch import Batch

    from acexp.engines.environment import prepare_libraries

    prepare_libraries(IDS["halfcheetah"])
    env: Any = gym.make(IDS["halfcheetah"]).unwrapped
    batch = Batch(env.model, nsim=n_envs, nthread=cores)
    batch.ctrl = np.random.default_rng(0).uniform(-1.0, 1.0, (n_envs, env.model.nu))

    def step() -> int:
        batch.step(nstep=env.frame_skip)
        return n_envs

    return step


def _loop(environment: str, n_envs: int) -> Callable[[], int]:
    import gymnasium as gym

    envs = [gym.make(IDS[environment]) for _ in range(n_envs)]
    for seed, env in enumerate(envs):
        env.reset(seed=seed)

    def step() -> int:
        for env in envs:
            _, _, terminated, truncated, _ = env.step(0)
            if terminated or truncated:
                env.reset()
        return n_envs

    return step


class Training:
    """A population that is trained as in the training loop, with the time that each part took.

    Attributes:
        population, recorder, configs: the population, its recorder and the config of each member.
        seconds: the time spent in the engine, in acting around it, in estimating, in updating and in recording.
    """

    def __init__(self, work: str, n_members: int, cores: int, changes: Sequence[str] = ()) -> None:
        from acexp.algorithm.assembly import assemble, resolve, useful_threads
        from acexp.config.application import compose
        from acexp.metrics import Recorder, Silent
        from acexp.system.cores import compute_threads
        from acexp.system.memory import keep_large_blocks

        if n_members > 1:
            keep_large_blocks()

        base = [*overrides(work), *changes]
        self.configs = configs = [resolve(compose([*base, f"seed={seed}"]), cores) for seed in range(n_members)]
        self._open = ExitStack()
        self.population = self._open.enter_context(assemble(configs))
        threads = configs[0].torch_threads or useful_threads(self.population.policy, cores)
        self._open.enter_context(compute_threads(threads))
        self.recorder = Recorder(self.population.objective, [[] for _ in configs], configs[0].log.every, Silent())
        self._slots = configs[0].algo.n_envs * configs[0].algo.n_steps
        self._n_members = n_members
        self._done = 0
        self.seconds = dict.fromkeys(("engine", "acting", "estimate", "update", "record"), 0.0)
        self._engine_step = self.population.collector.engine.step
        self.population.collector.engine.step = self._timed_step  # type: ignore[method-assign]

    def _timed_step(self, actions: Any) -> Any:
        start = time.perf_counter()
        step = self._engine_step(actions)
        self.seconds["engine"] += time.perf_counter() - start
        return step

    def __call__(self) -> int:
        """Make one update and return the number of slots of all members in it."""
        from acexp.algorithm.estimate import estimate
        from acexp.algorithm.update import update

        marks, in_engine = [time.perf_counter()], self.seconds["engine"]
        rollout = self.population.collector.collect()
        marks.append(time.perf_counter())
        batch, evaluation = estimate(self.population, rollout)
        marks.append(time.perf_counter())
        statistics = update(self.population, batch, evaluation, 0.0)
        marks.append(time.perf_counter())
        self._done += self._slots
        self.recorder.record(self._done, rollout.episodes, statistics, last=False)
        marks.append(time.perf_counter())
        for part, spent in zip(("acting", "estimate", "update", "record"), np.diff(marks), strict=True):
            self.seconds[part] += float(spent)
        self.seconds["acting"] -= self.seconds["engine"] - in_engine
        return self._slots * self._n_members

    def close(self) -> None:
        """Close the environments."""
        self._open.close()


def sb3_work(work: str, n_members: int, cores: int) -> Callable[[], int]:
    """Return a function that trains Stable-Baselines3's A2C, with a call of `learn` for 20 rollouts."""
    import ale_py
    import gymnasium as gym
    from stable_baselines3 import A2C
    from stable_baselines3.common.env_util import make_atari_env, make_vec_env
    from stable_baselines3.common.vec_env import VecEnv, VecFrameStack

    from acexp.config.application import compose
    from acexp.engines.environment import prepare_libraries

    environment = work.partition("-")[0]
    prepare_libraries(IDS[environment])
    gym.register_envs(ale_py)
    torch.set_num_threads(cores if environment == "pong" else 1)
    vector: VecEnv
    if environment == "pong":
        vector = VecFrameStack(make_atari_env(IDS[environment], n_envs=16), n_stack=4)
        model = A2C("CnnPolicy", vector, n_steps=5, device="cpu")
    else:
        limit = compose([f"env={environment}"]).env.max_episode_steps
        kwargs = {} if limit is None else {"max_episode_steps": limit}
        vector = make_vec_env(IDS[environment], n_envs=8, env_kwargs=kwargs)
        model = A2C("MlpPolicy", vector, n_steps=5, device="cpu")
    per_call = 20 * 5 * vector.num_envs

    def step() -> int:
        model.learn(per_call, reset_num_timesteps=False)
        return per_call

    return step


PROGRAMS: dict[str, Callable[[str, int, int], Callable[[], int]]] = {
    "engine": engine_work,
    "simulator": simulator_work,
    "acexp": Training,
    "sb3": sb3_work,
}


def main() -> None:
    """Build the work, wait for "go", measure and print the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=PROGRAMS)
    parser.add_argument("work", choices=WORK)
    parser.add_argument("size", type=int, help="environments of an engine, members of a population")
    parser.add_argument("cores", type=int)
    parser.add_argument("--seconds", type=float, default=8.0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    work = PROGRAMS[options.kind](options.work, options.size, options.cores)
    until = time.perf_counter() + 1.0
    while time.perf_counter() < until:
        work()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < options.seconds:
        done += work()
    rate = done / (time.perf_counter() - start)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"rate": rate, "memory": memory}) + "\n")


if __name__ == "__main__":
    main()
