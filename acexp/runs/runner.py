"""Layer 5: trains a population of runs, each into its own directory, and closes what was opened."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from acexp.algorithm.assembly import assemble, resolve
from acexp.algorithm.loop import Budget, train
from acexp.algorithm.population import Population
from acexp.config import RunConfig, group, identity, require_equal_structure, settings, to_yaml
from acexp.core.errors import UserError
from acexp.metrics import AllDiverged, Display, Experiment, JsonlWriter, Recorder, Silent, TensorBoardWriter, Writer
from acexp.runs import resumption, run_directory
from acexp.runs.checkpointer import Checkpointer
from acexp.runs.evaluation import PeriodicEvaluation
from acexp.runs.outcome import Outcome, in_words, record_failure, write_traceback
from acexp.runs.run_directory import Status
from acexp.system import distributed
from acexp.system.cores import available_cores, torch_threads
from acexp.system.lock import held
from acexp.system.memory import keep_large_blocks
from acexp.system.signals import StopRequest, stoppable


def run(
    configs: Sequence[RunConfig],
    directories: Sequence[Path],
    display: Display | None = None,
    cores: int | None = None,
    *,
    resume: bool = False,
    allow_changes: bool = False,
    until: int | None = None,
) -> list[Outcome]:
    """Train M runs of equal structure as one population, each into its own directory.

    Being told to stop ends it cleanly, with status `interrupted`; an error of ours is written to every run's error.log
    and reported as `failed`. Raises UserError, before a directory is touched, for what cannot be built. `cores` is how
    many may be used; None for all. With `resume`, the runs go on from their checkpoints, or from the start where there
    is none yet; they must have come equally far, with these configs unless `allow_changes`. At `until` env steps they
    are saved and left with status `paused`.
    """
    display = display or Silent()
    require_equal_structure(configs)
    identities = [identity(config) for config in configs]
    cores = (cores or available_cores()) // distributed.local_world_size() or 1
    configs = [resolve(config, cores) for config in configs]
    distributed.require_even_shards(configs[0].a2c.n_envs)
    budget = Budget(total_steps=configs[0].total_steps, steps_per_update=configs[0].a2c.n_steps * configs[0].a2c.n_envs)
    if not resume:
        for directory in directories:
            run_directory.claim(directory)
    if len(configs) > 1:
        keep_large_blocks()
    with ExitStack() as told, ExitStack() as stack:
        process_group = stack.enter_context(distributed.process_group())
        if process_group.rank:
            # The first one writes; what the others must write as well, they write where nobody looks.
            own = Path(stack.enter_context(TemporaryDirectory(prefix="acexp-")))
            directories = [own / str(m) for m in range(len(configs))]
        stack.enter_context(torch_threads(configs[0].torch_threads or 1))
        stack.enter_context(_failed_writes_told_once())
        taken_up = None
        if resume:
            if not process_group.rank:
                for directory in directories:
                    stack.enter_context(held(directory))
            taken_up = process_group.from_rank_zero(
                lambda: resumption.load_resumption(configs, directories, allow_changes=allow_changes)
            )
        population = stack.enter_context(assemble(configs, taken_up.new_episodes_at if taken_up else 0, process_group))
        if taken_up is None or process_group.rank:
            _begin(configs, identities, directories, stack)
        else:
            taken_up.note(directories)
        if taken_up is not None:
            taken_up.restore(population)
        runs = list(zip(configs, directories, strict=True))
        resume_at = taken_up.step if taken_up else None
        writers: list[list[Writer]] = [[] if process_group.rank else _writers(*run, resume_at, stack) for run in runs]
        recorder = Recorder(population.objective, writers, configs[0].log.every, display)
        if taken_up is not None:
            taken_up.restore_recorder(recorder)
        checkpointer = Checkpointer(population, recorder, configs, directories)
        periodic = PeriodicEvaluation(population.policy, configs, recorder, is_on=not process_group.rank)
        display.start(_title(configs), budget.steps)
        # Until everything is written and closed: a signal that comes late must not end what is about to end well.
        request = told.enter_context(stoppable())
        try:
            ending = _train(population, budget, recorder, checkpointer, periodic, directories, until, request)
        finally:
            display.close()
        outcomes = [_finish(recorder, m, directory, config, ending) for m, (config, directory) in enumerate(runs)]
        return [replace(outcome, resume=taken_up.kind if taken_up else None) for outcome in outcomes]


def _begin(
    configs: Sequence[RunConfig], identities: Sequence[str], directories: Sequence[Path], stack: ExitStack
) -> None:
    """Make the runs' directories, and keep others from writing them."""
    for config, name, directory in zip(configs, identities, directories, strict=True):
        run_directory.begin(directory, to_yaml(config), name, config.torch_threads or 1)
        stack.enter_context(held(directory))


class _Ending(NamedTuple):
    """How training ended: the status, why, and the signal that asked for it."""

    status: Status
    error: str | None = None
    signal: int | None = None


def _train(
    population: Population,
    budget: Budget,
    recorder: Recorder,
    checkpointer: Checkpointer,
    periodic: PeriodicEvaluation,
    directories: Sequence[Path],
    until: int | None,
    request: StopRequest,
) -> _Ending:
    """Train and save, and say how it ended."""
    try:
        number = 0
        try:
            for _ in train(population, budget, recorder):
                # First, so that what is saved has been evaluated, and is not when it is resumed.
                periodic.evaluate_if_due()
                # ProcessGroup stop and save together, whoever of them was asked to.
                number, is_due = population.process_group.maximum((request.number or 0, checkpointer.is_due))
                if is_due:
                    checkpointer.save()
                if number or (until is not None and recorder.step >= until):
                    break
        except (KeyboardInterrupt, AllDiverged) as end:
            # Raised at the end of an update, by whoever shows or records it.
            periodic.evaluate_if_due()
            checkpointer.save()
            return _Ending(Status.INTERRUPTED if isinstance(end, KeyboardInterrupt) else Status.DIVERGED)
        checkpointer.save()
        if recorder.step < budget.steps:
            return _Ending(Status.INTERRUPTED, signal=number) if number else _Ending(Status.PAUSED)
    except distributed.ProcessLostError as failure:
        request.close()  # torchrun ends the processes that are left, and this one has to say why it ends
        return _Ending(Status.FAILED, f"another process of this run was lost: {failure}")
    except OSError as failure:
        return _Ending(Status.FAILED, _unwritable(failure))
    except (Exception, SystemExit) as failure:
        # A component that calls sys.exit ends its run, and nothing else.
        write_traceback(directories)
        return _Ending(Status.FAILED, in_words(failure))
    return _Ending(Status.DONE)


def _unwritable(failure: OSError) -> str:
    return f"the run's files cannot be written: {failure.strerror or failure}"


def attempt(
    configs: Sequence[RunConfig],
    directories: Sequence[Path],
    display: Display,
    cores: int | None = None,
    *,
    resume: bool = False,
    allow_changes: bool = False,
    until: int | None = None,
) -> list[Outcome] | UserError:
    """`run`, for runs that others follow: an error of ours fails these runs, and a user's mistake is handed back."""
    try:
        return run(configs, directories, display, cores, resume=resume, allow_changes=allow_changes, until=until)
    except UserError as error:
        return error
    except (Exception, SystemExit) as failure:
        write_traceback(directories)
        reason = in_words(failure)
    return [record_failure(config, directory, reason) for config, directory in zip(configs, directories, strict=True)]


@contextmanager
def _failed_writes_told_once() -> Iterator[None]:
    """TensorBoard writes in a thread whose failures Python would print; our own next write fails and says so."""
    before = threading.excepthook

    def hook(failure: threading.ExceptHookArgs) -> None:
        if not issubclass(failure.exc_type, OSError):
            before(failure)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


def _writers(config: RunConfig, directory: Path, resume_at: int | None, stack: ExitStack) -> list[Writer]:
    writers: list[Writer] = [
        JsonlWriter(directory / run_directory.METRICS, resume_at or 0),
        TensorBoardWriter(directory, Experiment(to_yaml(config), settings(config), group(config)), resume_at),
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


def _suspects(config: RunConfig) -> str:
    """Those that a divergence usually hangs on."""
    clip = f"clip={config.clip.name}, clip.max_norm={config.clip.max_norm:g}"
    return f"optim.learning_rate={config.optim.learning_rate:g}, {clip}, seed={config.seed}"


def _finish(recorder: Recorder, member: int, directory: Path, config: RunConfig, ending: _Ending) -> Outcome:
    """Say how the run ended, which is as its population ended unless it diverged."""
    divergence = recorder.divergences.get(member)
    status, error, _ = ending
    if divergence is not None:
        status, error = Status.DIVERGED, f"{divergence}\n  with {_suspects(config)}; all of it is in config.yaml"
    outcome = Outcome(
        directory=directory,
        status=status,
        steps=recorder.step if divergence is None else divergence.step,
        steps_per_second=recorder.steps_per_second,
        seconds=recorder.seconds,
        mean_return=recorder.recent_return(member),
        error=error,
        signal=ending.signal,
    )
    try:
        if status is not Status.FAILED:
            recorder.end(member, outcome.steps)
    except OSError as failure:
        status, error = Status.FAILED, error or _unwritable(failure)
        outcome = replace(outcome, status=status, error=error)
    try:
        run_directory.finish(
            directory,
            status,
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
