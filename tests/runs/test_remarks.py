"""What is said before training: settings that the environment's spaces leave without effect, arrays like images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from acexp.config import RunConfig
from acexp.core.errors import UserError
from acexp.runs.inspection import examine
from acexp.runs.remarks import refuse_unread, remarks

Config = Callable[..., RunConfig]
Box = gym.spaces.Box

SPACES: dict[str, gym.Space[Any]] = {
    "Pixels20": Box(0, 255, (20, 20), np.uint8),
    "Pixels40": Box(0, 255, (40, 40), np.uint8),
    "Floats84": Box(0.0, 1.0, (84, 84, 3), np.float32),
    "Large": Box(0, 2**40, (2,), np.int64),
    "Small": Box(-(2**24), 2**24, (2,), np.int64),
    "Vector": Box(-1.0, 1.0, (3,), np.float32),
    "Matrix": Box(-1.0, 1.0, (3, 3), np.float32),
    "Index": gym.spaces.Discrete(4),
    "Mixed": gym.spaces.Dict(
        {
            "image": Box(0, 255, (40, 40), np.uint8),
            "bounded": Box(-1.0, 1.0, (3,), np.float32),
            "unbounded": Box(-np.inf, np.inf, (3,), np.float32),
            "index": gym.spaces.Discrete(4),
        }
    ),
}


class Still(gym.Env[Any, Any]):
    """Observes the same in any space."""

    action_space = gym.spaces.Discrete(2)

    def __init__(self, space: str, continuous: bool = False) -> None:
        self.observation_space = SPACES[space]
        if continuous:
            self.action_space = Box(-1.0, 1.0, (2,), np.float32)  # type: ignore[assignment]
        self.observation_space.seed(0)
        self._observation = self.observation_space.sample()

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        return self._observation, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self._observation, 0.0, False, False, {}


for name in SPACES:
    gym.register(f"Still{name}-v0", Still, kwargs={"space": name})


def env(name: str) -> list[str]:
    return ["env=gym", f"env.id=Still{name}-v0", "arch.cnn.kernel_sizes=[3,3,3]", "arch.hidden_sizes=[8]"]


@pytest.mark.parametrize(
    ("environment", "override", "reason"),
    [
        ("Pixels20", "arch.cnn.features=16", "observations without images"),
        ("Vector", "arch.cnn.channels=[1,2,3]", "observations without images"),
        ("Index", "arch.cnn.strides=[1,2,3]", "observations without images"),
        ("Pixels40", "arch.hidden_sizes=[16]", "observations of images alone"),
        ("Pixels40", "arch.activation=relu", "observations of images alone"),
        ("Pixels40", "arch.layer_norm=true", "observations of images alone"),
        ("Pixels40", "arch.critic.hidden_sizes=[16]", "observations of images alone"),
        ("Index", "normalizer=running", "observations without numbers"),
        ("Vector", "arch.log_std_init=-1", "discrete actions"),
        ("Vector", "policy.std=network", "discrete actions"),
    ],
)
def test_a_setting_that_the_spaces_leave_without_effect_is_named(
    config: Config, environment: str, override: str, reason: str
) -> None:
    run = config(*env(environment), override)
    assert f"{override} has no effect with {reason}." in remarks([run], [override])
    reading = config(*env("Mixed"), "+env.kwargs.continuous=true")
    assert not any("no effect" in line for line in remarks([run, reading], [override]))


def test_a_sweep_over_what_nothing_reads_is_refused(config: Config) -> None:
    def sweep(*overrides: str) -> None:
        given = [(value, "seed=0") for value in overrides]
        refuse_unread([config(*env("Vector"), *each) for each in given], given)

    with pytest.raises(
        UserError, match=r"differ in arch\.cnn\.features alone would be equal.*without images"
    ) as caught:
        sweep("arch.cnn.features=16", "arch.cnn.features=256")
    assert (caught.value.key, caught.value.value) == ("arch.cnn.features", "16,256")
    sweep("arch.hidden_sizes=[8]", "arch.hidden_sizes=[16]")
    sweep("arch.cnn.features=16")


def test_arrays_that_look_like_images_are_named_once(config: Config) -> None:
    def lines(name: str) -> list[str]:
        run = config(*env(name), "arch.hidden_sizes=[2]")
        return [line for line in remarks([run, run], []) if "is read as a vector" in line]

    assert lines("Floats84") == [
        "observation (84, 84, 3) is read as a vector of 21,168 numbers: an image is an array of dtype uint8, and this "
        "one is float32."
    ]
    assert lines("Pixels20") == [
        "observation (20, 20) is read as a vector of 400 numbers: an image has sides of 36 or more, and this one is "
        "20 x 20."
    ]
    assert lines("Pixels40") == lines("Matrix") == lines("Vector") == lines("Mixed") == []


def test_whole_numbers_that_lose_digits_are_named(config: Config) -> None:
    assert remarks([config(*env("Large"))], []) == [
        "observation of int64 is read as float32, which is exact for whole numbers up to 16,777,216 only."
    ]
    assert remarks([config(*env("Small"))], []) == []


def test_an_environment_that_cannot_be_made_leads_to_no_remark(config: Config) -> None:
    run = config(*env("Vector"), "+env.kwargs.nonsense=1")
    assert remarks([run], ["arch.cnn.features=16"]) == []


def test_inspect_names_the_normalizer_of_each_part(config: Config) -> None:
    def found(normalizer: str) -> dict[str, str]:
        parts = examine(
            config(*env("Mixed"), f"normalizer={normalizer}", "algo.n_envs=1", "algo.n_steps=2")
        ).observations
        return {part.path.split("'")[1]: part.normalizer for part in parts}

    chosen = {"image": "bounds", "bounded": "running", "unbounded": "running", "index": "none"}
    assert found("auto") == chosen
    assert found("running") == dict.fromkeys(chosen, "running") | {"index": "none"}
