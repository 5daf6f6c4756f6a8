"""What an engine saves is all that the future depends on."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch

from acexp.engines import EngineConfig, EnvironmentConfig, open_engine

WRAPPERS = [
    {"name": "StickyAction", "repeat_action_probability": 0.5},
    {"name": "FrameStackObservation", "stack_size": 4},
]

CASES = {
    "tabular, slippery": ("tabular", EnvironmentConfig(id="CliffWalkingSlippery-v1", max_episode_steps=30), 75),
    "CliffWalking": ("gymnasium", EnvironmentConfig(id="CliffWalking-v1", max_episode_steps=40), 75),
    "FrozenLake": ("gymnasium", EnvironmentConfig(id="FrozenLake-v1"), 75),
    "LunarLander": ("gymnasium", EnvironmentConfig(id="LunarLander-v3"), 190),
    "Pendulum, in its first episode": ("gymnasium", EnvironmentConfig(id="Pendulum-v1"), 60),
    "CartPole in wrappers": ("gymnasium", EnvironmentConfig(id="CartPole-v1", wrappers=WRAPPERS), 75),
    "CartPole in processes": ("processes", EnvironmentConfig(id="CartPole-v1", wrappers=WRAPPERS), 75),
    "HalfCheetah": ("gymnasium", EnvironmentConfig(id="HalfCheetah-v5", max_episode_steps=50), 75),
    **{
        f"{name} in a batch": ("mujoco", EnvironmentConfig(id=f"{name}-v5", max_episode_steps=50), 75)
        for name in (
            *("HalfCheetah", "Hopper", "Walker2d", "Swimmer", "Ant", "Humanoid", "HumanoidStandup"),
            *("InvertedPendulum", "InvertedDoublePendulum", "Reacher", "Pusher"),
        )
    },
    "Pong": ("gymnasium", EnvironmentConfig(id="PongNoFrameskip-v4", max_episode_steps=60), 90),
}


def through_a_file(states: Any) -> Any:
    """As a checkpoint would keep them."""
    file = io.BytesIO()
    torch.save(states, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("at_an_end", [False, True], ids=["in the middle", "right after an end"])
@pytest.mark.parametrize(("name", "environment", "n_steps"), CASES.values(), ids=CASES)
def test_another_engine_goes_on_from_there(
    name: str, environment: EnvironmentConfig, n_steps: int, at_an_end: bool
) -> None:
    seeds = [11, 12, 13]
    first = open_engine(environment, seeds, EngineConfig(name=name))
    first.reset()
    first.action_space.seed(0)

    def actions() -> np.ndarray[Any, Any]:
        return np.stack([first.action_space.sample() for _ in seeds])

    for _ in range(n_steps):
        step = first.step(actions())
    if at_an_end:
        for _ in range(400):
            if (step.terminated | step.truncated).any():
                break
            step = first.step(actions())
        assert (step.terminated | step.truncated).any()
    states = first.save()
    assert states is not None
    second = open_engine(environment, [91, 92, 93], EngineConfig(name=name))
    second.load(through_a_file(states))
    for t in range(120):
        chosen = actions()
        expected, found = first.step(chosen), second.step(chosen)
        for value, wanted in zip(found, expected, strict=True):
            assert np.array_equal(value, wanted), t
        if t == 60:
            third = second.save()
            assert third is not None
            second.load(through_a_file(third))
    first.close()
    second.close()


@pytest.mark.parametrize(("name", "environment"), [("ale", "PongNoFrameskip-v4"), ("envpool", "LunarLander-v3")])
def test_some_engines_have_no_state_to_give(name: str, environment: str) -> None:
    engine = open_engine(EnvironmentConfig(id=environment), [0, 1], EngineConfig(name=name, threads=1))
    engine.reset()
    assert engine.save() is None
    engine.close()


def test_an_episode_that_is_too_long_to_be_played_again_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acexp.engines.gymnasium.LONGEST_REPLAY", 10)
    engine = open_engine(EnvironmentConfig(id="Pendulum-v1"), [0], EngineConfig(name="gymnasium"))
    engine.reset()
    for _ in range(9):
        engine.step(np.zeros((1, 1), np.float32))
    assert engine.save() is not None
    engine.step(np.zeros((1, 1), np.float32))
    assert engine.save() is None
    engine.close()
