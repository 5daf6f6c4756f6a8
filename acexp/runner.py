"""Layer 5: the only assembler. Builds a population from its configs, trains it, and closes what it opened."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from acexp import run_directory
from acexp.a2c import Budget, Population, train
from acexp.architectures import ARCHITECTURES, Interface
from acexp.clipping import CLIPS
from acexp.config import RunConfig, require_equal_structure, to_yaml
from acexp.core.distributions import distribution_for
from acexp.core.errors import UserError
from acexp.core.observations import input_shapes, leaves_of
from acexp.core.seeding import environment_seeds, generator, streams
from acexp.core.types import Hyperparameters
from acexp.engines import Engine, choose_engine, is_atari, open_engine
from acexp.metrics import Display, Diverged, JsonlWriter, Recorder, Silent, TensorBoardWriter, Writer
from acexp.normalizers import REWARD_NORMALIZERS, build_observation_normalizer
from acexp.optimizers import OPTIMIZERS
from acexp.rollout import Collector
from acexp.run_directory import Status

__all__ = ["Outcome", "assemble", "check", "refuse", "resolve", "run"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    Attributes:
        directory: the run's.
        status: see Status.
        steps: env steps trained.
        steps_per_second: of the run's whole population.
        seconds: spent training.
        mean_return: of the last 100 episodes; None if none has ended.
        error: what went wrong, in a line or a few.
    """

    directory: Path
    status: Status
    steps: int = 0
    steps_per_second: float = 0.0
    seconds: float = 0.0
    mean_return: float | None = None
    error: str | None = None


def resolve(config: RunConfig) -> RunConfig:
    """The config with every `auto` that depends on this machine decided: device, engine, threads."""
    is_image = is_atari(config.env)
    return replace(
        config,
        device=str(_device(config.device)),
        engine=choose_engine(config.env, config.engine),
        torch_threads=config.torch_threads or (_cores() if is_image else 1),
    )


def check(config: RunConfig) -> None:
    """Build everything once, small, without writing anything; raises UserError for what cannot be built."""
    small = replace(config, a2c=replace(config.a2c, n_envs=1, n_steps=1))
    with assemble([resolve(small)]):
        pass


def run(configs: Sequence[RunConfig], directories: Sequence[Path], display: Display | None = None) -> list[Outcome]:
    """Train M runs of equal structure as one population, each into its own directory.

    Ctrl-C ends it cleanly, with status `interrupted`; an error of ours is written to every run's error.log and
    reported as `failed`. Raises UserError, before a directory is touched, for what cannot be built.
    """
    display = display or Silent()
    require_equal_structure(configs)
    configs = [resolve(config) for config in configs]
    budget = Budget(total_steps=configs[0].total_steps, steps_per_update=configs[0].a2c.n_steps * configs[0].a2c.n_envs)
    for directory in directories:
        run_directory.claim(directory)
    with ExitStack() as stack:
        stack.enter_context(_torch_threads(configs[0].torch_threads or 1))
        population = stack.enter_context(assemble(configs))
        for config, directory in zip(configs, directories, strict=True):
            run_directory.begin(directory, to_yaml(config), config.torch_threads or 1)
        writers = [_writers(config, directory, stack) for config, directory in zip(configs, directories, strict=True)]
        recorder = Recorder(writers, configs[0].log.every, display)
        status, error = Status.DONE, None
        display.start(_title(configs), budget.steps)
        try:
            train(population, budget, recorder)
        except KeyboardInterrupt:
            status = Status.INTERRUPTED
        except Diverged as divergence:
            status, error = Status.DIVERGED, str(divergence)
        except Exception as failure:
            status, error = Status.FAILED, f"{type(failure).__name__}: {failure}"
            for directory in directories:
                (directory / run_directory.ERROR_LOG).write_text(traceback.format_exc(), encoding="utf-8")
        finally:
            display.close()
        return [
            _finish(population, recorder, member, directory, config, status, error)
            for member, (config, directory) in enumerate(zip(configs, directories, strict=True))
        ]


def refuse(config: RunConfig, directory: Path, error: UserError) -> Outcome:
    """Record, in its directory, that one run of a sweep cannot be built."""
    try:
        run_directory.claim(directory)
        run_directory.begin(directory, to_yaml(config), config.torch_threads or 1)
        run_directory.end(directory, Status.FAILED, {"error": str(error)})
    except UserError as worse:
        error = worse
    return Outcome(directory, Status.FAILED, error=str(error))


@contextmanager
def assemble(configs: Sequence[RunConfig]) -> Iterator[Population]:
    """Build a population from resolved configs of equal structure; its environments are closed at the end."""
    first = configs[0]
    device = torch.device(first.device)
    random = [streams(config.seed) for config in configs]
    seeds = [seed for member in random for seed in environment_seeds(member.environments, first.a2c.n_envs)]
    engine: Engine = open_engine(first.env, seeds, first.engine)
    try:
        leaves = leaves_of(engine.observation_space)
        distribution = distribution_for(engine.action_space)
        observe = build_observation_normalizer(leaves, len(configs), first.normalizer, device)
        hyperparameters = Hyperparameters(
            gamma=_per_member([config.a2c.gamma for config in configs], device),
            gae_lambda=_per_member([config.a2c.gae_lambda for config in configs], device),
            entropy_coef=_per_member([config.a2c.entropy_coef for config in configs], device),
            value_coef=_per_member([config.a2c.value_coef for config in configs], device),
        )
        interface = Interface(input_shapes(leaves), distribution.n_outputs, distribution.n_parameters)
        architecture = ARCHITECTURES[first.arch.name].build(
            first.arch, interface, [generator(member.initialization) for member in random], device
        )
        yield Population(
            collector=Collector(
                engine,
                observe,
                architecture,
                distribution,
                [generator(member.actions) for member in random],
                n_steps=first.a2c.n_steps,
                n_envs=first.a2c.n_envs,
                clip_rewards=is_atari(first.env),
                device=device,
            ),
            observe=observe,
            reward_normalizer=REWARD_NORMALIZERS[first.reward_normalizer.name].build(
                len(configs), first.a2c.n_envs, hyperparameters.gamma, first.reward_normalizer, device
            ),
            architecture=architecture,
            distribution=distribution,
            groups=OPTIMIZERS[first.optim.name].build([config.optim for config in configs], architecture.parameters),
            clip=CLIPS[first.clip.name].build([config.clip for config in configs], device),
            hyperparameters=hyperparameters,
            normalize_advantage=first.a2c.normalize_advantage,
        )
    finally:
        engine.close()


def _per_member(values: Sequence[float], device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device)


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(
            f"torch cannot use the device {name!r}: {str(error).splitlines()[0]}",
            key="device",
            value=name,
            choices=("auto", "cpu", "cuda"),
        ) from None
    return device


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _torch_threads(n: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _writers(config: RunConfig, directory: Path, stack: ExitStack) -> list[Writer]:
    writers: list[Writer] = [
        JsonlWriter(directory / run_directory.METRICS),
        TensorBoardWriter(directory, to_yaml(config)),
    ]
    for writer in writers:
        stack.callback(writer.close)
    return writers


def _title(configs: Sequence[RunConfig]) -> str:
    first = configs[0]
    name = f"{first.env.id} {first.arch.name} {first.optim.name}"
    return f"{name} seed {first.seed}" if len(configs) == 1 else f"{name} x {len(configs)}"


def _finish(
    population: Population,
    recorder: Recorder,
    member: int,
    directory: Path,
    config: RunConfig,
    status: Status,
    error: str | None,
) -> Outcome:
    """Save what was learned and say how the run ended."""
    outcome = Outcome(
        directory=directory,
        status=status,
        steps=recorder.step,
        steps_per_second=recorder.steps_per_second,
        seconds=recorder.seconds,
        mean_return=recorder.recent_return(member),
        error=error,
    )
    tensors = {
        "parameters": {name: tensor[member].detach().clone() for name, tensor in _named(population).items()},
        "normalizer": {name: tensor[member].clone() for name, tensor in population.observe.state().items()},
    }
    run_directory.finish(
        directory,
        status,
        tensors,
        results={
            "env": config.env.id,
            "engine": config.engine.name,
            "seed": config.seed,
            "steps": outcome.steps,
            "valid_steps": recorder.valid_steps[member],
            "episodes": recorder.n_episodes[member],
            "mean_return_last_100": outcome.mean_return,
        },
        timings={"seconds": round(outcome.seconds, 3), "steps_per_second": round(outcome.steps_per_second, 1)},
        error=error,
    )
    return outcome


def _named(population: Population) -> dict[str, Tensor]:
    return population.architecture.parameters.named()
