"""Builds a run, trains it for one update, and describes what was built and measured."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from acexp.algorithm.assembly import assemble, check_environments, resolve
from acexp.algorithm.estimate import estimate, flat
from acexp.algorithm.update import update
from acexp.config import RunConfig
from acexp.core.observations import input_shapes
from acexp.engines.wrappers import in_words
from acexp.metrics import tags
from acexp.runs import run_directory


@dataclass(frozen=True, slots=True)
class ArrayFacts:
    """The dtype and shape of an array, and its smallest and largest value."""

    dtype: str
    shape: tuple[int, ...]
    low: float
    high: float

    @classmethod
    def of(cls, x: Tensor, dtype: str | None = None) -> ArrayFacts:
        """Return the facts of a tensor, with `dtype` in place of its own if it is given."""
        return cls(dtype or str(x.dtype).removeprefix("torch."), tuple(x.shape), float(x.min()), float(x.max()))


@dataclass(frozen=True, slots=True)
class ObservationFacts:
    """One part of an environment's observation: its kind, its normalizer, and its array before and after that."""

    path: str
    kind: str
    normalizer: str
    raw: ArrayFacts
    normalized: ArrayFacts


@dataclass(frozen=True, slots=True)
class Examination:
    """What a config builds, and the results of its first update.

    Attributes:
        observation_space, action_space: The spaces of a single environment, as texts.
        wrappers: The environment's wrappers as calls, the innermost first.
        engine: Name of the engine that steps the environments.
        writers: What the run would be logged with.
        input_shapes: Shapes of the network's inputs for a single observation.
        layers: The layers of the network, as pairs of name and description.
        parameter_counts: Number of parameters of each module.
        observations: Each part of the first observation.
        distribution: The distribution of actions, in words.
        policy: The policy's output for the first observation, as probabilities or as mean and standard deviation.
        value: The critic's value of the first observation.
        batch: The numbers of steps and of environments in a rollout, (T, N).
        groups: The modules that each optimizer steps, by its loss.
        scalars: Losses and norms of the first step of the first update, by tag.
        remarks: What a user should know about the environment, a line each.
    """

    observation_space: str
    action_space: str
    wrappers: tuple[str, ...]
    engine: str
    writers: tuple[str, ...]
    input_shapes: tuple[tuple[int, ...], ...]
    layers: tuple[tuple[str, str], ...]
    parameter_counts: dict[str, int]
    observations: tuple[ObservationFacts, ...]
    distribution: str
    policy: dict[str, list[float]]
    value: float
    batch: tuple[int, int]
    groups: dict[str, tuple[str, ...]]
    scalars: dict[str, float]
    remarks: tuple[str, ...] = ()


def examine(config: RunConfig) -> Examination:
    """Build the run, collect one rollout and perform one update; nothing is written.

    Raises UserError for what cannot be built, and for a faulty environment.
    """
    remarks = check_environments([config])
    config = resolve(config)
    with assemble([config]) as population:
        rollout = population.collector.collect()
        batch, evaluation = estimate(population, rollout)
        # `estimate` has updated the normalizers with the rollout, so that their effect is visible.
        first = tuple(flat(leaf[:-1])[:, :1] for leaf in rollout.observations)
        normalized = population.observe.normalized(first)
        with torch.no_grad():
            inputs = population.observe(first)
            policy, value = population.architecture.policy(inputs), population.architecture.value(inputs)
        statistics = update(population, batch, evaluation, progress=0.0, measure_trunk=True)[:1]
        parameters, distribution = population.architecture.parameters, population.objective.distribution
        return Examination(
            observation_space=str(population.collector.engine.observation_space),
            action_space=str(population.collector.engine.action_space),
            wrappers=tuple(map(in_words, config.env.wrappers)),
            engine=config.engine.name,
            writers=(run_directory.METRICS, *config.log.writers),
            input_shapes=input_shapes(population.observe.leaves),
            layers=tuple(population.architecture.describe()),
            parameter_counts={module: parameters.size(module) for module in parameters.modules},
            observations=tuple(
                ObservationFacts(
                    leaf.path,
                    leaf.kind.value,
                    normalizer,
                    ArrayFacts.of(raw[0, 0], leaf.given_as),
                    ArrayFacts.of(after[0, 0]),
                )
                for leaf, normalizer, raw, after in zip(
                    population.observe.leaves, population.observe.names, first, normalized, strict=True
                )
            ),
            distribution=(type(distribution).__doc__ or type(distribution).__name__).strip().splitlines()[0],
            policy={name: x[0, 0].tolist() for name, x in distribution.readable(policy).items()},
            value=float(value[0, 0]),
            batch=(config.algo.n_steps, config.algo.n_envs),
            groups={group.loss: group.modules for group in population.groups},
            scalars={tag: float(x[0, 0]) for tag, x in tags.per_update(population.objective, statistics).items()},
            remarks=remarks,
        )
