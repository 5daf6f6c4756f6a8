"""Layer 5: trains a population of runs, each into its own directory, and closes what was opened."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from acexp import run_directory
from acexp.a2c import Budget, train
from acexp.assembly import assemble, resolve
from acexp.config import RunConfig, require_equal_structure, to_yaml
from acexp.core.errors import UserError
from acexp.metrics import AllDiverged, Display, JsonlWriter, Recorder, Silent, TensorBoardWriter, Writer
from acexp.population import Population
from acexp.run_directory import Status


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


def run(
    configs: Sequence[RunConfig],
    directories: Sequence[Path],
    display: Display | None = None,
    cores: int | None = None,
) -> list[Outcome]:
    """Train M runs of equal structure as one population, each into its own directory.

    Ctrl-C ends it cleanly, with status `interrupted`; an error of ours is written to every run's error.log and
    reported as `failed`. Raises UserError, before a directory is touched, for what cannot be built. `cores` is how
    many may be used; None for all.
    """
    display = display or Silent()
    require_equal_structure(configs)
    configs = [resolve(config, cores) for config in configs]
    budget = Budget(total_steps=configs[0].total_steps, steps_per_update=configs[0].a2c.n_steps * configs[0].a2c.n_envs)
    for directory in directories:
        run_directory.claim(directory)
    with ExitStack() as stack:
        stack.enter_context(_torch_threads(configs[0].torch_threads or 1))
        population = stack.enter_context(assemble(configs))
        for config, directory in zip(configs, directories, strict=True):
            run_directory.begin(directory, to_yaml(config), config.torch_threads or 1)
        writers = [_writers(config, directory, stack) for config, directory in zip(configs, directories, strict=True)]
        recorder = Recorder(population.objective, writers, configs[0].log.every, display)
        display.start(_title(configs), budget.steps)
        try:
            status, error = _train(population, budget, recorder, directories)
        finally:
            display.close()
        return [
            _finish(population, recorder, member, directory, config, status, error)
            for member, (config, directory) in enumerate(zip(configs, directories, strict=True))
        ]


def _train(
    population: Population, budget: Budget, recorder: Recorder, directories: Sequence[Path]
) -> tuple[Status, str | None]:
    """Train, and say how it ended and why."""
    try:
        train(population, budget, recorder)
    except KeyboardInterrupt:
        return Status.INTERRUPTED, None
    except AllDiverged:
        return Status.DIVERGED, None
    except OSError as failure:
        return Status.FAILED, _unwritable(failure)
    except Exception as failure:
        _write_traceback(directories)
        return Status.FAILED, _in_words(failure)
    return Status.DONE, None


def _write_traceback(directories: Sequence[Path]) -> None:
    for directory in directories:
        (directory / run_directory.ERROR_LOG).write_text(traceback.format_exc(), encoding="utf-8")


def _in_words(failure: BaseException) -> str:
    return f"{type(failure).__name__}: {failure}"


def _unwritable(failure: OSError) -> str:
    return f"the run's files cannot be written: {failure.strerror or failure}"


def attempt(
    configs: Sequence[RunConfig], directories: Sequence[Path], display: Display, cores: int | None = None
) -> list[Outcome] | UserError:
    """`run`, for runs that others follow: an error of ours fails these runs, and a user's mistake is handed back."""
    try:
        return run(configs, directories, display, cores)
    except UserError as error:
        return error
    except Exception as failure:
        _write_traceback(directories)
        reason = _in_words(failure)
    return [fail(config, directory, reason) for config, directory in zip(configs, directories, strict=True)]


def fail(config: RunConfig, directory: Path, reason: str) -> Outcome:
    """Record, in its directory, why a run could not begin or did not end."""
    try:
        if not run_directory.is_claimed(directory):
            run_directory.begin(directory, to_yaml(config), config.torch_threads or 1)
        run_directory.end(directory, Status.FAILED, {"error": reason})
    except (UserError, OSError) as worse:
        reason = str(worse)
    return Outcome(directory, Status.FAILED, error=reason)


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
        stack.callback(_close, writer)
    return writers


def _close(writer: Writer) -> None:
    """Close a writer; one that could not write has made the run fail already, and says so again here."""
    with suppress(OSError):
        writer.close()


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
    """Save what was learned and say how the run ended, which is as its population ended unless it diverged."""
    divergence = recorder.divergences.get(member)
    if divergence is not None:
        status, error = Status.DIVERGED, str(divergence)
    outcome = Outcome(
        directory=directory,
        status=status,
        steps=recorder.step if divergence is None else divergence.step,
        steps_per_second=recorder.steps_per_second,
        seconds=recorder.seconds,
        mean_return=recorder.recent_return(member),
        error=error,
    )
    parameters = population.architecture.parameters.named()
    tensors = {
        "parameters": {name: tensor[member].detach().clone() for name, tensor in parameters.items()},
        "normalizer": {name: tensor[member].clone() for name, tensor in population.observe.state().items()},
    }
    try:
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
    except OSError as failure:
        return replace(outcome, status=Status.FAILED, error=error or _unwritable(failure))
    return outcome
