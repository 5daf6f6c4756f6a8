"""Environments for test_processes.py, in a module of their own, which the processes import."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np


class Composite(gym.Env[Any, Any]):
    """Observes a dict of all that can be encoded, and draws from its own generator; actions are vectors."""

    observation_space = gym.spaces.Dict(
        {
            "pixels": gym.spaces.Box(0, 255, (40, 40), np.uint8),
            "pair": gym.spaces.Tuple((gym.spaces.Discrete(3, start=2), gym.spaces.MultiBinary(4))),
            "several": gym.spaces.MultiDiscrete([2, 5]),
            "numbers": gym.spaces.Box(-10.0, 10.0, (3,), np.float64),
        }
    )
    action_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)

    def _observe(self) -> dict[str, Any]:
        return {
            "pixels": self.np_random.integers(0, 256, (40, 40), np.uint8),
            "pair": (np.int64(2 + self.t % 3), self.np_random.integers(0, 2, 4, np.int8)),
            "several": np.array([self.t % 2, self.t % 5]),
            "numbers": self.np_random.normal(size=3).clip(-10.0, 10.0),
        }

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.t = 0
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.t += 1
        return self._observe(), float(action.sum()), bool(self.np_random.random() < 0.1), self.t == 15, {"t": self.t}


class Meeting(gym.Env[Any, Any]):
    """A step ends once the step of another instance has begun, which never happens if they step in turns."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        (self.folder / str(os.getpid())).touch()
        deadline = time.monotonic() + 60.0
        while len(list(self.folder.iterdir())) < 2:
            if time.monotonic() > deadline:
                raise TimeoutError("nobody else came")
            time.sleep(0.001)
        return np.zeros(1, np.float32), 1.0, False, False, {}


class Varying(gym.Env[Any, Any]):
    """Each instance has a space of its own."""

    action_space = gym.spaces.Discrete(2)

    def __init__(self) -> None:
        self.observation_space = gym.spaces.Box(0.0, 1.0 + os.getpid() % 1000 + time.time() % 1, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return np.zeros(1, np.float32), 0.0, False, False, {}


gym.register("Composite-v0", Composite)
gym.register("Meeting-v0", Meeting)
gym.register("Varying-v0", Varying)
