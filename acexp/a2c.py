"""Layer 3: advantage actor-critic (Mnih et al., 2016), synchronous, for a population of members."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from acexp.estimate import estimate
from acexp.metrics import Recorder
from acexp.population import Population
from acexp.update import update


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How long to train: `total_steps` env steps of each member, rounded up to whole updates."""

    total_steps: int
    steps_per_update: int

    @property
    def n_updates(self) -> int:
        return math.ceil(self.total_steps / self.steps_per_update)

    @property
    def steps(self) -> int:
        """What is really trained."""
        return self.n_updates * self.steps_per_update


def train(population: Population, budget: Budget, recorder: Recorder) -> Iterator[int]:
    """Train every member until the budget is spent: collect, estimate, update, log.

    Begins where the recorder stands, and yields the env steps of each member after every update.
    """
    for n in range(recorder.step // budget.steps_per_update + 1, budget.n_updates + 1):
        rollout = population.collector.collect()
        batch, back = estimate(population, rollout)
        step, last = n * budget.steps_per_update, n == budget.n_updates
        will_log = recorder.will_log(step, last=last)
        statistics = update(population, batch, back, progress=(n - 1) / budget.n_updates, measure_trunk=will_log)
        recorder.record(step, rollout.episodes, statistics, last=last)
        yield recorder.step
