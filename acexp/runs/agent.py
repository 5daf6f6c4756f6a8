"""Layer 5: a trained run as something that acts, one observation at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from acexp.algorithm.assembly import build_policy, evaluation_engine, evaluation_noise
from acexp.algorithm.policy import Policy
from acexp.config import RunConfig, from_yaml
from acexp.runs import run_directory
from acexp.runs.evaluation import policy_file, restore


class Agent:
    """The policy of one run, with its normalizer's statistics as they were saved.

    Attributes:
        config: the run's, with every `auto` decided.
        step: env steps that it had been trained for.
    """

    def __init__(self, config: RunConfig, policy: Policy, step: int) -> None:
        self.config, self.step = config, step
        self._policy = policy
        (self._generator,) = evaluation_noise([config])

    def act(self, observation: Any, *, deterministic: bool = True) -> Any:
        """An action for `env.step`, from what `env.reset` or `env.step` gave.

        The most likely one, or one that is sampled, by the agent's own generator.
        """
        noise = None if deterministic else [self._generator]
        action = self._policy.act(_batched(observation), noise)[0]
        return action.item() if np.ndim(action) == 0 else action


def load(directory: str | Path, *, allow_plugins: bool = False) -> Agent:
    """The agent that a run has trained; raises UserError where there is none.

    Modules that the run's config names are imported only with `allow_plugins`: they run code.
    """
    path = Path(directory)
    config = from_yaml(path / run_directory.CONFIG, allow_plugins=allow_plugins)
    engine = evaluation_engine([config], 1)
    try:
        policy = build_policy([config], engine, torch.device("cpu"))
    finally:
        engine.close()
    (step,) = restore([policy_file(path)], policy)
    return Agent(config, policy, step)


def _batched(observation: Any) -> Any:
    """An observation as a batch of one, whatever it is nested in."""
    if isinstance(observation, dict):
        return {key: _batched(part) for key, part in observation.items()}
    if isinstance(observation, tuple):
        return tuple(_batched(part) for part in observation)
    return np.asarray(observation)[None]
