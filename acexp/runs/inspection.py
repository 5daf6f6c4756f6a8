"""Layer 5: build a run, put one rollout through it, and say what was built and what happened."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from acexp.algorithm.assembly import assemble, resolve
from acexp.algorithm.estimate import estimate, flat
from acexp.algorithm.update import update
from acexp.config import RunConfig
from acexp.metrics import tags


@dataclass(frozen=True, slots=True)
class ArrayFacts:
    """What one array looks like."""

    dtype: str
    shape: tuple[int, ...]
    low: float
    high: float

    @classmethod
    def of(cls, x: Tensor, dtype: str | None = None) -> ArrayFacts:
        return cls(dtype or str(x.dtype).removeprefix("torch."), tuple(x.shape), float(x.min()), float(x.max()))


@dataclass(frozen=True, slots=True)
class ObservationFacts:
    """One part of a real observation, before and after normalization, and what kind of thing it is."""

    path: str
    kind: str
    raw: ArrayFacts
    normalized: ArrayFacts


@dataclass(frozen=True, slots=True)
class Examination:
    """What a config builds, and what its first update does.

    Attributes:
        observation_space, action_space: the environment's.
        engine: what steps it.
        input_shapes: what the network reads, per slot.
        layers: (name, description) rows.
        parameter_counts: by module.
        observations: each part of the first observation.
        policy: of that observation, as probabilities or mean and std.
        value: of that observation.
        batch: (T, N).
        groups: which modules each optimizer steps, by its loss.
        scalars: losses and norms of the first update, by tag.
    """

    observation_space: str
    action_space: str
    engine: str
    input_shapes: tuple[tuple[int, ...], ...]
    layers: tuple[tuple[str, str], ...]
    parameter_counts: dict[str, int]
    observations: tuple[ObservationFacts, ...]
    policy: dict[str, list[float]]
    value: float
    batch: tuple[int, int]
    groups: dict[str, tuple[str, ...]]
    scalars: dict[str, float]


def examine(config: RunConfig) -> Examination:
    """Build the run, collect one rollout and take one update; nothing is written."""
    config = resolve(config)
    with assemble([config]) as population:
        rollout = population.collector.collect()
        batch, back = estimate(population, rollout)
        # The normalizers have learned from the rollout by now, so that what they do can be seen.
        first = tuple(flat(leaf[:-1])[:, :1] for leaf in rollout.observations)
        normalized = population.observe.normalized(first)
        with torch.no_grad():
            inputs = population.observe(first)
            policy, value = population.architecture.policy(inputs), population.architecture.value(inputs)
        statistics = update(population, batch, back, progress=0.0, measure_trunk=True)
        parameters = population.architecture.parameters
        return Examination(
            observation_space=str(population.collector.engine.observation_space),
            action_space=str(population.collector.engine.action_space),
            engine=config.engine.name,
            input_shapes=tuple(tuple(x.shape[2:]) for x in inputs),
            layers=tuple(population.architecture.describe()),
            parameter_counts={module: parameters.size(module) for module in parameters.modules},
            observations=tuple(
                ObservationFacts(
                    leaf.path, leaf.kind.value, ArrayFacts.of(raw[0, 0], leaf.given_as), ArrayFacts.of(after[0, 0])
                )
                for leaf, raw, after in zip(population.observe.leaves, first, normalized, strict=True)
            ),
            policy={name: x[0, 0].tolist() for name, x in population.objective.distribution.readable(policy).items()},
            value=float(value[0, 0]),
            batch=(config.a2c.n_steps, config.a2c.n_envs),
            groups={group.loss: group.modules for group in population.groups},
            scalars={tag: float(x[0, 0]) for tag, x in tags.per_update(population.objective, [statistics]).items()},
        )
