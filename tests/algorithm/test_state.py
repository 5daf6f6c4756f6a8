"""What is saved of a population's members is all that their future depends on."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
import torch

from acexp.algorithm.assembly import assemble, resolve
from acexp.algorithm.population import load, save
from acexp.config import RunConfig
from acexp.core.seeding import environment_seeds, streams
from tests.helpers import advance

Config = Callable[..., RunConfig]

SMALL = ("algo.n_envs=4", "algo.n_steps=6")
CASES = {
    "cliffwalking": ("env=cliffwalking",),
    "lunarlander": ("env=lunarlander", "engine=gymnasium", "arch=shared", "optim=dual", "normalizer=running"),
    "halfcheetah": ("env=halfcheetah", "arch=shared"),
    "halfcheetah in gymnasium": ("env=halfcheetah", "engine=gymnasium", "optim=dual", "optim.algorithm=adam"),
    "short episodes": ("env=halfcheetah", "env.max_episode_steps=9", "reward_normalizer=return_std"),
    "momentum": ("env=gym", "env.id=Pendulum-v1", "optim.algorithm=sgd", "optim.momentum=.9", "optim.learning_rate=1e-4"),  # noqa: E501
    "rmsprop_tf": ("env=gym", "env.id=CartPole-v1", "engine=gymnasium", "optim.algorithm=rmsprop_tf"),
    "discrete and stochastic": ("env=gym", "env.id=FrozenLake-v1", "normalizer=none"),
    "pong": ("env=pong", "engine=gymnasium", "arch=shared", "algo.n_envs=2"),
    "ppo": ("env=halfcheetah", "algo=ppo", "algo.minibatches=3", "algo.target_kl=0.01"),
}  # fmt: skip


def through_a_file(states: Any) -> Any:
    """As a checkpoint would keep them."""
    file = io.BytesIO()
    torch.save(states, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


WORLDS = {
    "cliffwalking": (("tabular", "gymnasium"), ("none", "running", "bounds")),
    "lunarlander": (("gymnasium",), ("none", "running", "bounds")),
    "halfcheetah": (("mujoco", "gymnasium"), ("none", "running")),
    "pong": (("gymnasium",), ("none", "running", "bounds")),
}
"""The engines of each environment that can save it, and the normalizers that suit its bounds; `auto` is one of them."""
TINY_CNN = ("arch.cnn.channels=[4]", "arch.cnn.kernel_sizes=[8]", "arch.cnn.strides=[8]", "arch.cnn.features=8")
EVERYTHING = [
    (f"env={env}", f"engine={engine}", f"normalizer={normalizer}", f"arch={arch}", f"optim={optim}")
    for env, (engines, normalizers) in WORLDS.items()
    for engine in engines
    for normalizer in normalizers
    for arch in ("separate", "shared")
    for optim in ("single", "dual")
]


@pytest.mark.parametrize("settings", EVERYTHING, ids=" ".join)
def test_everything_that_can_be_chosen_together_is_saved_whole(config: Config, settings: tuple[str, ...]) -> None:
    """In the middle of episodes, some of which end between the two halves."""
    small = ("algo.n_envs=2", "algo.n_steps=5", "env.max_episode_steps=13", "reward_normalizer=return_std", *TINY_CNN)
    configs = [resolve(config(*settings, *small))]
    with assemble(configs) as population:
        advance(population, 4)
        states = through_a_file(save(population))
        assert states[0]["tensors"]["collector.length"].any()
        advance(population, 4)
        (expected,) = save(population)
    with assemble(configs) as population:
        load(population, states)
        advance(population, 4)
        (found,) = save(population)
    assert torch.equal(found["generator"], expected["generator"])
    for name, tensor in expected["tensors"].items():
        assert torch.equal(found["tensors"][name], tensor), name


@pytest.mark.parametrize("settings", CASES.values(), ids=CASES)
def test_n_and_m_updates_are_n_plus_m_updates(config: Config, settings: tuple[str, ...]) -> None:
    """To the last bit, in the middle of episodes."""
    configs = [resolve(config(*SMALL, *settings, f"seed={seed}")) for seed in range(2)]
    with assemble(configs) as population:
        advance(population, 7)
        states = through_a_file(save(population))
        advance(population, 8)
        expected = save(population)
    with assemble(configs) as population:
        load(population, states)
        advance(population, 8)
        found = save(population)
    for mine, wanted in zip(found, expected, strict=True):
        assert torch.equal(mine["generator"], wanted["generator"])
        for name, tensor in wanted["tensors"].items():
            assert torch.equal(mine["tensors"][name], tensor), name


def test_a_member_goes_on_alone_and_in_another_population(config: Config) -> None:
    """A member of few environments continues to float tolerance alone, to the bit in a population of two or more."""
    settings = (*SMALL, "env=halfcheetah", "arch=shared")
    configs = [resolve(config(*settings, f"seed={seed}")) for seed in range(4)]
    with assemble(configs) as population:
        advance(population, 5)
        states = save(population)
        advance(population, 5)
        expected = save(population)
    for members in ([2], [3, 1]):
        with assemble([configs[m] for m in members]) as population:
            load(population, [states[m] for m in members])
            advance(population, 5)
            found = save(population)
        for mine, m in zip(found, members, strict=True):
            for name, tensor in expected[m]["tensors"].items():
                tolerance = {"rtol": 0.0, "atol": 0.0} if len(members) > 1 else {"rtol": 1e-5, "atol": 1e-6}
                torch.testing.assert_close(mine["tensors"][name], tensor, **tolerance, msg=f"{name} of {m}")


def test_without_the_environments_state_new_episodes_begin(config: Config) -> None:
    configs = [resolve(config(*SMALL, "env=pong", "engine=ale", "arch=shared"))]
    with assemble(configs) as population:
        advance(population, 2)
        (state,) = save(population)
    assert state["environments"] is None
    with assemble(configs) as population:
        load(population, [state])
        (resumed,) = save(population)
        assert torch.equal(resumed["tensors"]["parameters"], state["tensors"]["parameters"])
        assert not resumed["tensors"]["collector.length"].any()
        advance(population, 1)


def test_new_episodes_are_other_episodes() -> None:
    """Where a run begins again in the middle, it does not play its first episodes twice."""
    sequence = streams(0).environments
    seeds = [environment_seeds(sequence, 4, begin_at) for begin_at in (0, 1000, 2000)]
    assert len({seed for some in seeds for seed in some}) == 12
    assert seeds[0] == environment_seeds(sequence, 4)
