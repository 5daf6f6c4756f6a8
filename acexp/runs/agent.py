"""A trained run as an agent that acts on one observation at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from acexp.algorithm.assembly import evaluation_engine, evaluation_noise
from acexp.algorithm.policy import Policy
from acexp.config import RunConfig
from acexp.core.errors import UserError
from acexp.engines.environment import make
from acexp.runs.saved_policy import Which, open_policy, saved_run


class Agent:
    """The policy of one run, with its normalizer's statistics as they were saved.

    Attributes:
        config: The run's config, with every `auto` resolved.
        step: Env steps that the policy had been trained for.
    """

    def __init__(self, config: RunConfig, policy: Policy, step: int) -> None:
        self.config, self.step = config, step
        self._policy = policy
        (self._generator,) = evaluation_noise([config])

    def make_env(self, **kwargs: Any) -> gym.Env[Any, Any]:
        """Return one environment as the run trained in it, with its preprocessing and wrappers.

        `kwargs` are further arguments of its constructor, such as `render_mode="human"`.
        """
        environment = self.config.env
        return make(replace(environment, kwargs=environment.kwargs | kwargs))

    def act(self, observation: Any, *, deterministic: bool = True) -> Any:
        """Return an action for `env.step`, given an observation of such an environment.

        It is the most likely action, or one sampled with the agent's own random generator.
        """
        noise = None if deterministic else [self._generator]
        action = self._policy.act(_batched(observation), noise)[0]
        return action.item() if np.ndim(action) == 0 else action


def load(directory: str | Path, *, which: str = Which.LAST, allow_plugins: bool = False) -> Agent:
    """Return the agent that a run has trained; raises UserError where there is none.

    `which` is `last`, or `best` for the policy that `eval.keep_best=true` has kept. Modules that the run's config names
    are imported only with `allow_plugins`: they run code.
    """
    if which not in tuple(Which):
        raise UserError("A run has no such policy.", key="which", value=which, choices=tuple(Which))
    chosen = Which(which)
    run = saved_run(Path(directory), chosen, allow_plugins=allow_plugins)
    with open_policy([run], evaluation_engine([run.config], 1), chosen) as saved:
        return Agent(run.config, saved.policy, saved.steps[0])


def _batched(observation: Any) -> Any:
    """Return an observation as a batch of one, nested as it was."""
    if isinstance(observation, dict):
        return {key: _batched(part) for key, part in observation.items()}
    if isinstance(observation, tuple):
        return tuple(_batched(part) for part in observation)
    return np.asarray(observation)[None]
