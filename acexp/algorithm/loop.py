"""The training loop of synchronous advantage actor-critic (Mnih et al., 2016) for a population of members."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from acexp.algorithm.estimate import estimate
from acexp.algorithm.population import Population
from acexp.algorithm.update import update
from acexp.core.types import EnvironmentFault, Episode, UpdateStatistics
from acexp.metrics import Recorder


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The length of training: `total_steps` env steps of each member, rounded up to whole updates."""

    total_steps: int
    steps_per_update: int

    @property
    def n_updates(self) -> int:
        return math.ceil(self.total_steps / self.steps_per_update)

    @property
    def steps(self) -> int:
        """The env steps for which each member is really trained."""
        return self.n_updates * self.steps_per_update


def train(population: Population, budget: Budget, recorder: Recorder) -> Iterator[int]:
    """Train every member until the budget is spent: collect, estimate, update, log.

    Training begins after the recorder's last env step. Yields the env steps of each member after every update.
    """
    for n in range(recorder.step // budget.steps_per_update + 1, budget.n_updates + 1):
        rollout = population.collector.collect()
        _stop(population, rollout.faults, recorder)
        batch, evaluation = estimate(population, rollout)
        step, last = n * budget.steps_per_update, n == budget.n_updates
        will_log = recorder.will_log(step, last=last)
        statistics = update(population, batch, evaluation, progress=(n - 1) / budget.n_updates, measure_trunk=will_log)
        recorder.record(step, *_gather(population, rollout.episodes, statistics), last=last)
        yield recorder.step


def _stop(population: Population, faults: Sequence[EnvironmentFault], recorder: Recorder) -> None:
    """End the training of members whose environments returned what nothing can be learned from."""
    for fault in faults:
        recorder.fail(fault)
        if population.process_group.world_size == 1:
            # Several processes find out from the gradient, which they share, so that all of them stop the member.
            population.learning[fault.member] = False


def _gather(
    population: Population, episodes: Sequence[Episode], statistics: Sequence[UpdateStatistics]
) -> tuple[Sequence[Episode], Sequence[UpdateStatistics]]:
    """Gather the episodes and batches of all processes in one message; norms cover all processes already."""
    process_group, keys = population.process_group, population.collector.engine.info_keys
    if process_group.world_size == 1:
        return episodes, statistics
    batches = {id(batch): batch for s in statistics for batch in (s.batch, s.rollout) if batch is not None}
    n_slots = sum(s.rollout.values.numel() for s in statistics if s.rollout is not None)
    padded = torch.full((1, n_slots, 3 + len(keys)), torch.nan, dtype=torch.float64)
    if episodes:
        rows = [(*episode[:3], *(episode.info.get(key, math.nan) for key in keys)) for episode in episodes]
        padded[0, : len(episodes)] = torch.tensor(rows, dtype=torch.float64)
    own = [x for batch in batches.values() for x in batch if x is not None]
    *parts, padded = process_group.gather((*own, padded), 1)
    whole = iter(parts)
    gathered = {key: batch.map(lambda _: next(whole)) for key, batch in batches.items()}
    ended = [
        Episode(int(member), episode_return, int(length), _known(keys, info))
        for member, episode_return, length, *info in padded[0][~padded[0, :, 0].isnan()].tolist()
    ]
    return ended, [
        s._replace(batch=gathered[id(s.batch)], rollout=None if s.rollout is None else gathered[id(s.rollout)])
        for s in statistics
    ]


def _known(keys: Sequence[str], values: Sequence[float]) -> dict[str, float]:
    """Return the values by key, without those that are NaN."""
    return {key: value for key, value in zip(keys, values, strict=True) if not math.isnan(value)}
