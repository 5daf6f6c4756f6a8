"""Networks that look up the rows of their first layer, where one-hot vectors would be long."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import gymnasium as gym
import pytest
import torch

from acexp.algorithm.assembly import assemble, resolve
from acexp.config import RunConfig
from tests.helpers import REPOSITORY, advance, snapshot

Config = Callable[..., RunConfig]

MEMORY = """
import resource
import gymnasium as gym
from acexp.config.application import compose
from acexp.runs.inspection import examine


class Many(gym.Env):
    observation_space, action_space = gym.spaces.Discrete(1_000_000), gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return int(self.np_random.integers(1_000_000)), {}

    def step(self, action):
        return int(self.np_random.integers(1_000_000)), 1.0, False, False, {}


gym.register("Many-v0", Many)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
small = ["arch.hidden_sizes=[8]", "algo.n_envs=16", "algo.n_steps=32", "torch_threads=1"]
examine(compose(["env=gym", "env.id=Many-v0", *small]))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("arch", ["separate", "shared"])
@pytest.mark.parametrize("environment", ["CliffWalking-v1", "Blackjack-v1"])
def test_training_is_the_same_as_with_one_hot_vectors(
    config: Config, monkeypatch: pytest.MonkeyPatch, arch: str, environment: str
) -> None:
    """Blackjack observes three numbers, so three ones are in each vector."""
    settings = ("env=gym", f"env.id={environment}", f"arch={arch}", "optim.anneal=none", "normalizer=none")
    configs = [resolve(config(*settings, f"seed={seed}")) for seed in range(3)]

    def trained(length: int, members: slice) -> dict[str, torch.Tensor]:
        monkeypatch.setattr("acexp.core.observations.LONG_ONE_HOT", length)
        with assemble(configs[members]) as population:
            advance(population, 1)
            inputs = population.observe(tuple(leaf[-1] for leaf in population.collector.collect().observations))
            assert (inputs[0].dtype is torch.int64) == (length == 1)
            advance(population, 4)
            return snapshot(population)

    dense, looked_up = trained(10_000, slice(None)), trained(1, slice(None))
    for name, tensor in dense.items():
        torch.testing.assert_close(looked_up[name], tensor, rtol=1e-4, atol=1e-5, msg=name)
    for name, tensor in trained(1, slice(1, 2)).items():
        assert torch.equal(looked_up[name][1:2], tensor), name


@pytest.mark.parametrize("linear", ["arch.hidden_sizes=[]", "arch.critic.hidden_sizes=[]"])
def test_a_linear_network_reads_one_hot_vectors(config: Config, monkeypatch: pytest.MonkeyPatch, linear: str) -> None:
    monkeypatch.setattr("acexp.core.observations.LONG_ONE_HOT", 1)
    with assemble([resolve(config("env=cliffwalking", linear))]) as population:
        advance(population, 2)
    assert isinstance(population.collector.engine.observation_space, gym.spaces.Discrete)


def test_a_million_states_fit_into_a_laptop() -> None:
    """One-hot vectors of the 512 slots of a batch would take 2 GB, and 4 GB more while they are made."""
    result = subprocess.run(
        [sys.executable, "-c", MEMORY], cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout.split()[-1]) < 1000
