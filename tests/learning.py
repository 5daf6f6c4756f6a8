"""Train in memory and play greedily: what the learning tests share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from acexp.algorithm.assembly import assemble, resolve
from acexp.algorithm.loop import Budget, train
from acexp.algorithm.population import Population
from acexp.config import RunConfig
from acexp.core.observations import pick
from acexp.engines import open_engine
from acexp.metrics import Recorder, Silent


def train_in_memory(configs: Sequence[RunConfig]) -> tuple[list[float | None], list[float]]:
    """Each member's mean return of its last 100 training episodes, and the return of one greedy episode."""
    resolved = [resolve(config) for config in configs]
    first = resolved[0]
    budget = Budget(total_steps=first.total_steps, steps_per_update=first.a2c.n_steps * first.a2c.n_envs)
    with assemble(resolved) as population:
        recorder = Recorder(population.objective, [[] for _ in resolved], first.total_steps, Silent())
        for _ in train(population, budget, recorder):
            pass
        recent = [recorder.recent_return(member) for member in range(len(resolved))]
        return recent, greedy_returns(population, first, len(resolved))


@torch.no_grad()
def greedy_returns(population: Population, config: RunConfig, n_members: int) -> list[float]:
    """The return of one episode per member under its most likely actions, in environments of its own."""
    engine = open_engine(config.env, [10_000 + member for member in range(n_members)], config.engine)
    returns, running = np.zeros(n_members), np.ones(n_members, bool)
    observation = engine.reset()
    while running.any():
        values = tuple(
            torch.from_numpy(np.array(pick(observation, leaf))).to(leaf.dtype).view(n_members, 1, *leaf.shape)
            for leaf in population.observe.leaves
        )
        policy = population.architecture.policy(population.observe(values))
        actions = population.objective.distribution.mode(policy)[:, 0].numpy()
        step = engine.step(population.objective.distribution.to_environment(actions))
        returns += np.where(running, step.reward, 0.0)
        running &= ~(step.terminated | step.truncated)
        observation = step.observation
    engine.close()
    return [float(value) for value in returns]
