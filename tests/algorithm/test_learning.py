"""It learns. The strictest test there is: a wrong sign, mask or bootstrap anywhere fails here."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from acexp.config import RunConfig
from tests.helpers import train_in_memory

Config = Callable[..., RunConfig]

pytestmark = pytest.mark.learning


@pytest.mark.long
@pytest.mark.parametrize("parts", [("arch=separate", "optim=single"), ("arch=shared", "optim=dual")], ids=" ".join)
def test_cartpole_reaches_475(config: Config, parts: tuple[str, ...]) -> None:
    """Gymnasium counts CartPole-v1 as solved at a mean of 475 over 100 episodes."""
    settings = ("env=gym", "env.id=CartPole-v1", "engine=gymnasium", "total_steps=200000", *parts)
    recent, greedy = train_in_memory([config(*settings, f"seed={seed}") for seed in range(3)])
    assert min(value for value in recent if value is not None) >= 475.0
    assert min(greedy) >= 475.0


PPO = ("algo=ppo", "algo.gae_lambda=0.95", "algo.n_envs=8", "algo.n_steps=64", "algo.epochs=8", "algo.minibatches=4")
PPO += ("algo.normalize_advantage=true", "optim.learning_rate=1e-3", "optim.anneal=linear")


def test_ppo_balances_a_pole_in_a_few_updates(config: Config) -> None:
    """Random play lasts 22 steps. Learning from shuffled slots whose advantages are others' would not exceed that."""
    settings = ("env=gym", "env.id=CartPole-v1", "engine=gymnasium", "total_steps=24000", *PPO)
    recent, greedy = train_in_memory([config(*settings, f"seed={seed}") for seed in range(2)])
    assert min(value or 0.0 for value in recent) >= 120.0
    assert min(greedy) >= 200.0


class Follow(gym.Env[Any, Any]):
    """The action should follow a target, which depends on what is seen, up to close to the upper bound."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)
    action_space = gym.spaces.Box(-2.0, 6.0, (1,), np.float32)

    def _observe(self) -> np.ndarray[Any, Any]:
        place = self.np_random.uniform(-1.0, 1.0)
        self.target = 3.0 + 2.5 * place
        return np.array([place], np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.t = 0
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.t += 1
        reward = -(((float(action[0]) - self.target) / 4.0) ** 2)
        return self._observe(), reward, False, self.t == 20, {}


gym.register("Follow-v0", Follow)


@pytest.mark.parametrize("algorithm", [("algo=a2c", "algo.n_steps=8"), PPO], ids=["a2c", "ppo"])
@pytest.mark.parametrize(
    "policy",
    [("policy=beta",), ("policy=squashed",), ("policy=gaussian", "policy.std=network")],
    ids=" ".join,
)
def test_every_policy_follows_a_target(config: Config, algorithm: tuple[str, ...], policy: tuple[str, ...]) -> None:
    """The best action that ignores what is seen returns -2.6 in an episode.

    One standard deviation for all states is learned slowly, whatever the policy; it begins low enough here.
    """
    settings = ("env=gym", "env.id=Follow-v0", "total_steps=10240", "algo.gamma=0", "arch.log_std_init=-1")
    chosen = (*settings, *algorithm, *policy, "optim.learning_rate=5e-3")
    _, greedy = train_in_memory([config(*chosen, f"seed={seed}") for seed in range(3)])
    assert min(greedy) >= -0.4, greedy


class WithoutVelocities(gym.ObservationWrapper[Any, Any, Any]):
    """CartPole with its positions and angles alone, from which nobody can tell where the pole is going."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        space = env.observation_space
        assert isinstance(space, gym.spaces.Box)
        self.observation_space = gym.spaces.Box(space.low[::2], space.high[::2], dtype=np.float32)

    def observation(self, observation: Any) -> Any:
        return observation[::2]


@pytest.mark.long
def test_stacked_frames_make_up_for_hidden_velocities(config: Config) -> None:
    hidden = f"{{name: '{__name__}:WithoutVelocities'}}"

    def learned(*wrappers: str) -> list[float]:
        chain = f"env.wrappers=[{', '.join(wrappers)}]"
        settings = ("env=gym", "env.id=CartPole-v1", "total_steps=50000", chain)
        recent, _ = train_in_memory([config(*settings, f"seed={seed}") for seed in range(2)])
        return [value or 0.0 for value in recent]

    assert max(learned(hidden)) < 100.0
    assert min(learned(hidden, "{name: FrameStackObservation, stack_size: 4}")) > 200.0


@pytest.mark.parametrize("arch", ["separate", "shared"])
def test_cliffwalking_walks_along_the_edge(config: Config, arch: str) -> None:
    """-13 is the shortest way there is."""
    _, greedy = train_in_memory([config("env=cliffwalking", f"arch={arch}", f"seed={seed}") for seed in range(4)])
    assert greedy == [-13.0] * 4


@pytest.mark.long
def test_halfcheetah_begins_to_run(config: Config) -> None:
    """A tenth of the default budget: standing still pays 0, stumbling less.

    Of 20 seeds, 18 reached a mean of 800 or more over this whole time, and two did not (110 and 475). Which ones they
    are differs from processor to processor, so one of four may stay behind.
    """
    recent, _ = train_in_memory([config("env=halfcheetah", "total_steps=100000", f"seed={seed}") for seed in range(4)])
    assert sorted(value or -math.inf for value in recent)[1] > 500.0


class Spot(gym.Env[Any, Any]):
    """A bright bar at one of three heights, moved up or down by the action; reward for bringing it to the middle."""

    observation_space = gym.spaces.Box(0, 255, (48, 48, 1), np.uint8)
    action_space = gym.spaces.Discrete(3)

    def _observe(self) -> np.ndarray[Any, Any]:
        image = np.zeros((48, 48, 1), np.uint8)
        image[6 * self.height : 6 * self.height + 6] = 200
        return image

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.height, self.t = int(self.np_random.choice([0, 1, 2, 5, 6, 7])), 0
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.height = min(7, max(0, self.height + int(action) - 1))
        self.t += 1
        there = self.height == 4
        return self._observe(), float(there), there, self.t == 20, {}


gym.register("Spot-v0", Spot)


@pytest.mark.parametrize("arch", ["separate", "shared"])
def test_convolutions_learn_from_pixels(config: Config, arch: str) -> None:
    """What happens several steps later depends on what is seen and done now; random play gets there half the time."""
    cnn = ("arch.cnn.channels=[8,16]", "arch.cnn.kernel_sizes=[8,4]", "arch.cnn.strides=[4,2]", "arch.cnn.features=32")
    settings = ("env=gym", "env.id=Spot-v0", f"arch={arch}", *cnn, "total_steps=30000")
    recent, _ = train_in_memory([config(*settings, f"seed={seed}") for seed in range(2)])
    assert all(value is not None and value >= 0.98 for value in recent)
