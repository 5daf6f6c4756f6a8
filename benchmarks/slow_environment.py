"""An environment whose steps take as long as they are told to, for `slow.py`."""

from __future__ import annotations

import time
from typing import Any

import gymnasium as gym
import numpy as np


class Slow(gym.Env[Any, Any]):
    """Each step takes some milliseconds, of waiting or of computing."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (4,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, milliseconds: float, *, computes: bool) -> None:
        self.seconds, self.computes = milliseconds / 1e3, computes

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.t = 0
        return np.zeros(4, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.t += 1
        if self.computes:
            end = time.thread_time() + self.seconds
            while time.thread_time() < end:
                pass
        else:
            time.sleep(self.seconds)
        return np.zeros(4, np.float32), float(action), False, self.t == 100, {}


gym.register("Slow-v0", f"{__name__}:Slow")
