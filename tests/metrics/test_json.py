"""Every file of a run is valid JSON, whatever its rewards are."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from acexp.system.files import write_json

Acexp = Callable[..., subprocess.CompletedProcess[str]]

EXTREME = """
import gymnasium as gym
import numpy as np


class Extreme(gym.Env):
    observation_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, rewards):
        self.rewards, self.t = [float(reward) for reward in rewards], 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.t += 1
        reward = self.rewards[self.t % len(self.rewards)] if self.t > 95 else 1.0
        return np.full(2, 0.5, np.float32), reward, False, self.t % 10 == 0, {}


gym.register("Extreme-v0", Extreme)
"""


def strictly(text: str) -> Any:
    """Parse JSON, in which there is no NaN and no Infinity."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("rewards", ["[inf]", "['-inf', inf]", "[nan]", "[1e308]"])
def test_rewards_that_are_no_numbers_leave_valid_files(acexp: Acexp, tmp_path: Path, rewards: str) -> None:
    (tmp_path / "extreme.py").write_text(EXTREME)
    result = acexp(
        "-m", "plugins=[extreme]", "env=gym", "env.id=Extreme-v0", f"+env.kwargs.rewards={rewards}",
        "algo.n_envs=2", "algo.n_steps=5", "total_steps=400", "log.every=10",
        "checkpoint.every=50", "eval.every=100", "eval.episodes=10",
        "seed=0,1", "name=extreme",
    )  # fmt: skip
    assert "Traceback" not in result.stdout + result.stderr
    folder = tmp_path / "outputs" / "sweeps" / "extreme"
    if rewards != "[nan]":
        evaluated = acexp("eval", str(folder), "--episodes", "20", "--allow-plugins")
        assert evaluated.returncode == 0, evaluated.stdout + evaluated.stderr
    for command in ("report", "status"):
        told = acexp(command, str(folder))
        assert told.returncode == 0, told.stdout + told.stderr
    for run in ("seed=0", "seed=1"):
        for name in ("status.json", "summary.json", "checkpoint.json", "eval.json"):
            if (folder / run / name).exists():
                strictly((folder / run / name).read_text())
        lines = (folder / run / "metrics.jsonl").read_text().splitlines()
        assert len(lines) > 3
        for line in lines:
            strictly(line)


def test_what_json_does_not_have_becomes_null(tmp_path: Path) -> None:
    value = {"a": [1.5, float("inf"), (float("nan"),)], "b": {"c": float("-inf"), "d": "inf"}, "e": True}
    write_json(tmp_path / "file.json", value)
    expected = {"a": [1.5, None, [None]], "b": {"c": None, "d": "inf"}, "e": True}
    assert strictly((tmp_path / "file.json").read_text()) == expected
