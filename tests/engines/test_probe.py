"""What the probe says about environments that are right, and which ones it is spared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from acexp.algorithm import assembly
from acexp.config import RunConfig
from acexp.core.errors import UserError
from acexp.engines import EnvironmentConfig, probe
from acexp.engines.contract import flaw_of_step


@pytest.mark.parametrize(
    "environment_id", ["CartPole-v1", "CliffWalking-v1", "LunarLander-v3", "Pendulum-v1", "HalfCheetah-v5"]
)
def test_nothing_is_remarkable_about_environments_of_gymnasium(environment_id: str) -> None:
    assert probe(EnvironmentConfig(id=environment_id)) == ()


def test_a_map_that_is_drawn_anew_by_each_instance_is_noticed() -> None:
    np.random.seed(0)
    (remark,) = probe(EnvironmentConfig(id="FrozenLake-v1", kwargs={"desc": None, "map_name": None}))
    assert "its runs cannot be repeated" in remark


def test_environments_of_gymnasium_are_trusted_with_their_own_settings(
    config: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    probed: list[EnvironmentConfig] = []

    def note(environment: EnvironmentConfig) -> tuple[str, ...]:
        probed.append(environment)
        return ()

    monkeypatch.setattr(assembly, "probe", note)
    known = [config("env=cliffwalking"), config("env=cliffwalking", "seed=1"), config("env=halfcheetah")]
    changed = [config("env=cliffwalking", "+env.kwargs.is_slippery=true", f"seed={seed}") for seed in (0, 1)]
    assert assembly.check_environments([*known, *changed]) == ()
    assert probed == [changed[0].env]
    assembly.check_environments(known, trust_known=False)
    assert len(probed) == 3, "each environment once"


def test_arguments_are_probed_whichever_engine_of_acexp_will_take_them(config: Callable[..., RunConfig]) -> None:
    chosen = config("env=halfcheetah", "engine=mujoco", "+env.kwargs.reset_noise_scale=much")
    with pytest.raises(UserError, match=r"reset\(\) failed: TypeError"):
        assembly.check_environments([chosen])


@pytest.mark.parametrize("number", [1, 1.0, True, np.float32(1), np.int8(1), np.array(1.0)])
def test_numbers_of_every_kind_are_rewards(number: object) -> None:
    assert flaw_of_step((np.zeros(2), number, False, np.bool_(True), {}), spaces.Box(-1.0, 1.0, (2,))) is None


@pytest.mark.parametrize("observation", [[0.0, 5.0], (0, 1), np.zeros(2, np.int64), np.full(2, 1e6)])
def test_observations_that_can_be_stored_are_accepted(observation: object) -> None:
    """Values beyond the bounds too: many environments leave them a little."""
    assert flaw_of_step((observation, 0.0, False, False, None), spaces.Box(-1.0, 1.0, (2,))) is None


PAIR = spaces.Box(-1.0, 1.0, (2,))
FLAWS = {
    "reward in words": (PAIR, np.zeros(2), "1.0", "the reward '1.0'"),
    "reward complex": (PAIR, np.zeros(2), 1j, "the reward 1j"),
    "in words": (PAIR, "left", 0.0, "no array of numbers"),
    "ragged": (PAIR, [[0.0], [0.0, 1.0]], 0.0, "no array of numbers"),
    "complex": (PAIR, np.zeros(2, complex), 0.0, "no array of numbers"),
    "float": (spaces.Discrete(3), 1.0, 0.0, "dtype is float64"),
    "negative": (spaces.Discrete(3), -1, 0.0, "outside of its space"),
    "multi-discrete": (spaces.MultiDiscrete([2, 3]), np.array([1, 3]), 0.0, "outside of its space"),
    "multi-binary": (spaces.MultiBinary(2), np.array([0, 2], np.int8), 0.0, "outside of its space"),
    "no dict": (spaces.Dict(a=PAIR), np.zeros(2), 0.0, "it is no dict"),
    "too short": (spaces.Tuple((PAIR, PAIR)), (np.zeros(2),), 0.0, "no tuple of 2 values"),
}


@pytest.mark.parametrize(("space", "observation", "reward", "said"), FLAWS.values(), ids=FLAWS)
def test_what_cannot_be_stored_is_refused(space: gym.Space[Any], observation: Any, reward: Any, said: str) -> None:
    flaw = flaw_of_step((observation, reward, False, False, {}), space)
    assert flaw is not None
    assert flaw.startswith("step() returned the ")
    assert said in flaw
