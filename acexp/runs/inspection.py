"""Builds a run, trains it for one update, and describes what was built and measured."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from acexp.algorithm.assembly import assemble, check_environments, resolve
from acexp.algorithm.estimate import estimate, flat
from acexp.algorithm.population import Population
from acexp.algorithm.update import update
from acexp.config import RunConfig
from acexp.core.arrays import as_tensor
from acexp.core.distributions import BoxDistribution, Distribution
from acexp.core.observations import input_shapes
from acexp.engines.wrappers import in_words
from acexp.metrics import tags
from acexp.objectives import OBJECTIVES, Objective
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
        log: What the run would be logged with, in words.
        algorithm: What an update does, in words: its algorithm, rollout, steps and schedules.
        input_shapes: Shapes of the network's inputs for a single observation.
        layers: The layers of the network, as pairs of name and description.
        parameter_counts: Number of parameters of each module.
        observations: Each part of the first observation.
        distribution: The distribution of actions, in words.
        deterministic: The action that `deterministic` evaluations take, in words.
        policy: The policy's output for the first observation, as probabilities or as mean and standard deviation.
        value: The critic's value of the first observation.
        batch: The slots that the first step of the first update learned from, in words.
        groups: The modules that each optimizer steps, by its loss.
        scalars: Losses and norms of the first step of the first update, by tag.
        remarks: What a user should know about the environment, a line each.
    """

    observation_space: str
    action_space: str
    wrappers: tuple[str, ...]
    engine: str
    log: dict[str, str]
    algorithm: dict[str, str]
    input_shapes: tuple[tuple[int, ...], ...]
    layers: tuple[tuple[str, str], ...]
    parameter_counts: dict[str, int]
    observations: tuple[ObservationFacts, ...]
    distribution: str
    deterministic: str
    policy: dict[str, list[float]]
    value: float
    batch: str
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
        first = tuple(as_tensor(flat(leaf[:-1])[:, :1]) for leaf in rollout.observations)
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
            log=_log(config),
            algorithm=_algorithm(config, population),
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
            deterministic=_deterministic(distribution),
            policy={name: x[0, 0].tolist() for name, x in distribution.readable(policy).items()},
            value=float(value[0, 0]),
            batch=_batch(config, population.objective),
            groups={group.loss: group.modules for group in population.groups},
            scalars={tag: float(x[0, 0]) for tag, x in tags.per_update(population.objective, statistics).items()},
            remarks=remarks,
        )


def _log(config: RunConfig) -> dict[str, str]:
    """Return what is logged, and which policies are kept, in words, by what the words are about."""
    shown = {"writers": ", ".join((run_directory.METRICS, *config.log.writers))}
    if config.log.info:
        shown["info"] = f"{', '.join(config.log.info)} of the last step of an episode"
    if config.eval.every is not None:
        best = ", which keep the best policy" if config.eval.keep_best else ""
        shown["evaluations"] = f"{config.eval.episodes} episodes every {config.eval.every:,} env steps{best}"
    return shown


def _deterministic(distribution: Distribution) -> str:
    return distribution.mode_in_words if isinstance(distribution, BoxDistribution) else "the most likely action"


def _algorithm(config: RunConfig, population: Population) -> dict[str, str]:
    """Return what an update does, in words, by what the words are about."""
    objective = population.objective
    steps = f"{objective.epochs} epochs x {objective.minibatches} minibatches"
    limit = "" if objective.target_kl is None else f", until the divergence is above {objective.target_kl:g}"
    rates = {f"learning rate, optim_{group.loss}": str(group.schedule) for group in population.groups}
    return {
        config.algo.name: OBJECTIVES[config.algo.name].summary,
        "rollout": _rollout(config),
        "steps of an update": f"{steps}{limit}" if objective.epochs * objective.minibatches > 1 else "1",
        **rates,
        **{name: str(schedule) for name, schedule in objective.schedules.items()},
    }


def _rollout(config: RunConfig) -> str:
    return f"{config.algo.n_steps} steps x {config.algo.n_envs} environments"


def _batch(config: RunConfig, objective: Objective) -> str:
    if objective.minibatches == 1:
        return f"one batch of {_rollout(config)}"
    n_slots = config.algo.n_steps * config.algo.n_envs // objective.minibatches
    return f"the first minibatch, with {n_slots} slots of {_rollout(config)}"
