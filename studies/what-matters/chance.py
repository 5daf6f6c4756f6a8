"""Measure what random actions reach in each environment of the study, and save it: `chance.py`."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pandas as pd
from choices import CHOICES, SEEDS
from data import CHANCE
from environments import ENVIRONMENTS, Environment
from plan import config

EPISODES = 100


def returns(environment: Environment) -> list[float]:
    """Return the returns of episodes of random actions."""
    settings = config(environment, CHOICES["preset"], "", SEEDS[0]).env
    env = gym.make(settings.id, max_episode_steps=settings.max_episode_steps, **settings.kwargs)
    env.action_space.seed(0)
    found = []
    for episode in range(EPISODES):
        env.reset(seed=episode)
        total, is_over = 0.0, False
        while not is_over:
            _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
            total, is_over = total + float(reward), terminated or truncated
        found.append(total)
    env.close()
    return found


def main() -> None:
    """Write a row for each environment."""
    by_name = {name: returns(environment) for name, environment in ENVIRONMENTS.items()}
    rows = [{"environment": name, "mean": np.mean(found), "std": np.std(found)} for name, found in by_name.items()]
    pd.DataFrame(rows).to_csv(CHANCE, index=False, float_format="%.6g", lineterminator="\n")


if __name__ == "__main__":
    main()
