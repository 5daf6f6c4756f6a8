"""Builds a population from the configs of its members: the only place that builds from registries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch

from acexp.algorithm.policy import Policy
from acexp.algorithm.population import Population
from acexp.algorithm.rollout import Collector, RolloutShape
from acexp.architectures import ARCHITECTURES, ArchitectureConfig, Interface
from acexp.config import RunConfig
from acexp.config.effects import BUILT_IN
from acexp.core.arrays import computes_in_numpy
from acexp.core.distributions import distribution_for
from acexp.core.errors import UserError
from acexp.core.observations import LeafKind, are_long_one_hots, input_shapes, leaves_of
from acexp.core.process_group import SINGLE_PROCESS, ProcessGroup
from acexp.core.seeding import environment_seeds, evaluation_stream, generator, streams
from acexp.engines import ENGINES, Engine, choose_engine, clips_rewards, is_known, is_own, open_engine, probe
from acexp.metrics import require_writers
from acexp.normalizers import REWARD_NORMALIZERS, build_observation_normalizer
from acexp.objectives import OBJECTIVES
from acexp.optimizers import OPTIMIZERS
from acexp.optimizers.clipping import CLIPS
from acexp.system.cores import available_cores
from acexp.system.memory import memory_in_words


@contextmanager
def assemble(
    configs: Sequence[RunConfig], begin_at: int = 0, process_group: ProcessGroup = SINGLE_PROCESS
) -> Iterator[Population]:
    """Build a population from resolved configs of equal structure; its environments are closed at the end.

    `begin_at` is the env step at which new episodes begin, which decides the environments' seeds. Of several processes,
    each builds the population with its own shard of every member's environments.
    """
    first = configs[0]
    random = [streams(config.seed) for config in configs]
    shard = process_group.shard(first.algo.n_envs)
    seeds = [
        seed for member in random for seed in environment_seeds(member.environments, first.algo.n_envs, begin_at)[shard]
    ]
    engine = open_engine(first.env, seeds, first.engine, first.log.info)
    try:
        with memory_in_words():
            population = _population(
                configs, engine, RolloutShape(first.algo.n_steps, first.algo.n_envs, shard), process_group
            )
        yield population
    finally:
        engine.close()


def _population(
    configs: Sequence[RunConfig], engine: Engine, shape: RolloutShape, process_group: ProcessGroup
) -> Population:
    """Build everything that trains around an engine with the environments of all members."""
    first = configs[0]
    device = torch.device(first.device)
    policy = build_policy(configs, engine, device)
    objective = OBJECTIVES[first.algo.name].build([config.algo for config in configs], policy.distribution, device)
    reward_normalizer = REWARD_NORMALIZERS[first.reward_normalizer.name].build(
        len(configs), first.algo.n_envs, objective.hyperparameters.gamma, first.reward_normalizer, device
    )
    groups = OPTIMIZERS[first.optim.name].build([config.optim for config in configs], policy.architecture.parameters)
    clip = CLIPS[first.clip.name].build([config.clip for config in configs], device)
    parts = (policy.observe, policy.architecture, policy.distribution, reward_normalizer, objective, *groups, clip)
    return Population(
        collector=Collector(
            engine,
            policy,
            [generator(streams(config.seed).actions) for config in configs],
            shape,
            clip_rewards=clips_rewards(first.env),
            in_numpy=device.type == "cpu" and process_group.world_size == 1 and all(map(computes_in_numpy, parts)),
        ),
        observe=policy.observe,
        reward_normalizer=reward_normalizer,
        architecture=policy.architecture,
        objective=objective,
        groups=groups,
        clip=clip,
        learning=torch.ones(len(configs), dtype=torch.bool, device=device),
        process_group=process_group,
    )


def build_policy(configs: Sequence[RunConfig], engine: Engine, device: torch.device) -> Policy:
    """Build the members' initial networks and normalizers, for the engine's spaces."""
    first = configs[0]
    leaves = leaves_of(engine.observation_space)
    distribution = distribution_for(engine.action_space, first.policy)
    as_indices = _looks_up_rows(first.arch) and are_long_one_hots(leaves)
    observe = build_observation_normalizer(leaves, len(configs), first.normalizer, device, as_indices=as_indices)
    interface = Interface(
        input_shapes(leaves), distribution.n_outputs, distribution.n_parameters, distribution.n_log_std
    )
    generators = [generator(streams(config.seed).initialization) for config in configs]
    architecture = ARCHITECTURES[first.arch.name].build(first.arch, interface, generators, device)
    return Policy(observe, architecture, distribution, device)


def _looks_up_rows(arch: ArchitectureConfig) -> bool:
    """Return True if all networks can look up the rows of their first hidden layer, in place of one-hot vectors."""
    networks = (arch.side("actor"), arch.side("critic")) if arch.name == "separate" else (arch,)
    return arch.name in BUILT_IN and all(network.hidden_sizes for network in networks)


def evaluation_engine(configs: Sequence[RunConfig], n_envs: int, *, again: bool = False) -> Engine:
    """Open environments for each member with seeds that no training uses; the caller closes them.

    With `again`, the seeds are not those of evaluations either.
    """
    each = [evaluation_stream(config.seed, again=again) for config in configs]
    seeds = [seed for stream in each for seed in environment_seeds(stream, n_envs)]
    engine = configs[0].engine
    if engine.name == "processes" and len(seeds) == 1:
        # It would gain nothing. And a script that loads an agent need not guard against being imported by a process.
        engine = replace(engine, name="gymnasium")
    return open_engine(configs[0].env, seeds, engine, configs[0].log.info)


def evaluation_noise(configs: Sequence[RunConfig], *, again: bool = False) -> list[torch.Generator]:
    """Return the generators of action noise for evaluation, one per member; they give the same numbers each time.

    With `again`, they give others.
    """
    return [generator(evaluation_stream(config.seed, again=again).spawn(1)[0]) for config in configs]


def resolve(config: RunConfig, cores: int | None = None) -> RunConfig:
    """Return the config with every `auto` that depends on this machine resolved: device, engine, the engine's threads.

    `cores` is the number of cores that this run may use; None for all. See useful_threads for those of torch.
    """
    cores = cores or available_cores()
    engine = choose_engine(config.env, config.engine, config.log.info)
    return replace(
        config,
        device=str(_device(config.device)),
        engine=replace(engine, threads=engine.threads or cores),
    )


def useful_threads(policy: Policy, cores: int) -> int:
    """Return how many of these cores torch can use well: all for convolutions, which read images, else one."""
    return cores if any(leaf.kind is LeafKind.IMAGE for leaf in policy.observe.leaves) else 1


def check(config: RunConfig, *, trust_known: bool = True) -> tuple[str, ...]:
    """Build a small version of the run without writing anything, and return remarks on its environment, a line each.

    Raises UserError for what cannot be built, for a writer without its packages, and for a faulty environment. See
    check_environments for `trust_known`.
    """
    require_writers(config.log.writers)
    remarks = check_environments([config], trust_known=trust_known)
    with assemble([resolve(replace(config, algo=config.algo.smallest()))]) as population, memory_in_words():
        slots = (config.algo.n_steps + 1, config.algo.n_envs)
        for leaf in population.observe.leaves:
            torch.empty(*slots, *leaf.shape, dtype=leaf.dtype)  # reserved, and given back at once
    return remarks


def check_environments(configs: Iterable[RunConfig], *, trust_known: bool = True) -> tuple[str, ...]:
    """Probe each distinct environment of some runs, and return remarks on them, a line each.

    With `trust_known`, environments that Gymnasium contains are left out unless they have arguments or wrappers of the
    user's: they are tested there, and some take a while to import. Raises UserError if every environment is refused; of
    a sweep with others, only the runs of the refused ones fail.
    """
    distinct = {repr((config.env, config.engine.name)): config for config in configs}
    remarks: list[str] = []
    errors: list[UserError] = []
    for config in distinct.values():
        try:
            if _is_probed(config, trust_known=trust_known):
                remarks += probe(config.env)
        except UserError as error:
            errors.append(error)
    if errors and len(errors) == len(distinct):
        raise errors[0]
    return (*remarks, *(f"{error.problem}; its runs will fail." for error in errors))


def _is_probed(config: RunConfig, *, trust_known: bool) -> bool:
    """Return True unless a plugin has an engine with environments of its own, or the environment can be trusted."""
    if not (is_own(config.engine) or ENGINES[config.engine.name].build.uses_gymnasium):
        return False
    return not (trust_known and is_known(config.env) and not (config.env.kwargs or config.env.wrappers))


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        # Some devices hold no data, and mps no float64, in which statistics are kept.
        torch.zeros(1, dtype=torch.float64, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        raise UserError(
            f"torch cannot use the device {name!r}: {str(error).splitlines()[0]}",
            key="device",
            value=name,
            choices=("auto", "cpu", "cuda"),
        ) from None
    return device
