"""Trains a population of runs, each into its own directory."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from acexp.algorithm.assembly import assemble, resolve
from acexp.algorithm.loop import Budget
from acexp.algorithm.loop import train as train_updates
from acexp.algorithm.population import Population
from acexp.config import RunConfig, group, identity, require_equal_structure, settings, to_yaml
from acexp.core.errors import UserError
from acexp.metrics import Display, Experiment, JsonlWriter, Recorder, Silent, TensorBoardWriter, Writer
from acexp.runs import run_directory
from acexp.runs.checkpointer import Checkpointer
from acexp.runs.evaluation import PeriodicEvaluation
from acexp.runs.outcome import Outcome, in_words, record_failure, write_traceback
from acexp.runs.resumption import Resumption, load_resumptions
from acexp.runs.run import Run, TrainOptions
from acexp.runs.run_directory import Status
from acexp.system import distributed
from acexp.system.cores import available_cores, torch_threads
from acexp.system.lock import locked
from acexp.system.memory import keep_large_blocks
from acexp.system.signals import StopRequest, stoppable

DEFAULTS = TrainOptions()


def _never() -> bool:
    return False


def train(
    runs: Sequence[Run],
    options: TrainOptions = DEFAULTS,
    display: Display | None = None,
    should_stop: Callable[[], bool] = _never,
) -> list[Outcome]:
    """Train M runs of equal structure as one population, each into its own directory, and return how each ended.

    A signal (see `stoppable`), or `should_stop` returning True after an update, ends training cleanly, with status
    `interrupted`. An error of acexp or of a component is written to every run's error.log and returned as `failed`.
    Raises UserError, before a directory is touched, for what cannot be built, and for resumed runs that have not come
    equally far.
    """
    with _Session(runs, options) as session:
        if len(session.groups) > 1:
            steps = {resumption.step for _, resumption in session.groups}
            raise UserError(
                "These runs have not come equally far, so they cannot be resumed together.", value=str(steps)
            )
        return session.train(display or Silent(), should_stop)


def attempt(
    runs: Sequence[Run],
    options: TrainOptions = DEFAULTS,
    display: Display | None = None,
    should_stop: Callable[[], bool] = _never,
) -> list[Outcome] | UserError:
    """Train runs as `train` does, but return a UserError, and return any other exception as the runs' failure.

    Runs that have not come equally far are trained one group after the other.
    """
    try:
        with _Session(runs, options) as session:
            return session.train(display or Silent(), should_stop)
    except UserError as error:
        return error
    except (Exception, SystemExit) as failure:
        write_traceback(runs)
        reason = in_words(failure)
    return [record_failure(run, reason) for run in runs]


def run(configs: Sequence[RunConfig], directories: Sequence[Path], **options: Any) -> list[Outcome]:
    """Call `train`, which has replaced this function, with the arguments that this one took."""
    warnings.warn("acexp.runner.run is now acexp.runs.runner.train", DeprecationWarning, stacklevel=2)
    display = options.pop("display", None)
    runs = [Run(config, directory) for config, directory in zip(configs, directories, strict=True)]
    return train(runs, TrainOptions(**options), display)


class _Session:
    """Everything that is opened to train runs, from their locks to the handlers of signals.

    Attributes:
        groups: The numbers of the runs, grouped by the env step that they continue from.
    """

    def __init__(self, runs: Sequence[Run], options: TrainOptions) -> None:
        require_equal_structure([run.config for run in runs])
        self._identities = [identity(run.config) for run in runs]
        cores = (options.cores or available_cores()) // distributed.local_world_size() or 1
        self._runs = [replace(run, config=resolve(run.config, cores)) for run in runs]
        self._options = options
        self._request: StopRequest | None = None
        self._stack = ExitStack()
        self.groups: list[tuple[list[int], Resumption]] = []

    def __enter__(self) -> _Session:
        with ExitStack() as stack:
            first = self._runs[0].config
            distributed.require_even_shards(first.a2c.n_envs)
            if not self._options.resume:
                for run in self._runs:
                    run_directory.claim(run.directory)
            if len(self._runs) > 1:
                keep_large_blocks()
            self._handlers = stack.enter_context(ExitStack())
            self._process_group = stack.enter_context(distributed.process_group())
            stack.enter_context(torch_threads(first.torch_threads or 1))
            stack.enter_context(_silent_write_errors())
            self.groups = self._process_group.from_rank_zero(lambda: self._resumptions(stack))
            if self._process_group.rank:
                # Rank 0 writes the runs; what the others have to write as well goes into temporary folders.
                own = Path(stack.enter_context(TemporaryDirectory(prefix="acexp-")))
                self._runs = [replace(run, directory=own / str(m)) for m, run in enumerate(self._runs)]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def _resumptions(self, stack: ExitStack) -> list[tuple[list[int], Resumption]]:
        """Lock the runs that continue, and read what they continue from."""
        if not self._options.resume:
            return [(list(range(len(self._runs))), Resumption())]
        for run in self._runs:
            run.directory.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(run.directory))
        return load_resumptions(self._runs, allow_changes=self._options.allow_changes)

    def train(self, display: Display, should_stop: Callable[[], bool]) -> list[Outcome]:
        """Train one group after the other, and return the outcome of every run."""
        outcomes = [Outcome(run.directory, Status.INTERRUPTED) for run in self._runs]
        for members, resumption in self.groups:
            ended = self._train_group(members, resumption, display, should_stop)
            for m, outcome in zip(members, ended, strict=True):
                outcomes[m] = outcome
            if any(outcome.status is Status.INTERRUPTED for outcome in ended):
                break
        return outcomes

    def _train_group(
        self, members: Sequence[int], resumption: Resumption, display: Display, should_stop: Callable[[], bool]
    ) -> list[Outcome]:
        runs = [self._runs[m] for m in members]
        configs, group_ = [run.config for run in runs], self._process_group
        with ExitStack() as stack:
            population = stack.enter_context(assemble(configs, resumption.new_episodes_at, group_))
            resumption.restore(population)
            self._open_directories(members, resumption, stack)
            resume_at = resumption.step if self._options.resume else None
            writers: list[list[Writer]] = [[] if group_.rank else _writers(run, resume_at, stack) for run in runs]
            recorder = Recorder(population.objective, writers, configs[0].log.every, display)
            resumption.restore_recorder(recorder)
            budget = Budget(
                total_steps=configs[0].total_steps, steps_per_update=configs[0].a2c.n_steps * configs[0].a2c.n_envs
            )
            training = _Training(
                population,
                budget,
                recorder,
                Checkpointer(population, recorder, runs),
                PeriodicEvaluation(population.policy, runs, recorder, is_on=not group_.rank),
            )
            display.start(_title(configs), budget.steps)
            # Handled until everything is written and closed: a late signal must not end what is about to end well.
            self._request = self._request or self._handlers.enter_context(stoppable())
            try:
                ending = _train(training, runs, self._options.until, self._request, should_stop)
            finally:
                display.close()
            outcomes = [_finish(recorder, m, run, ending) for m, run in enumerate(runs)]
        return [replace(outcome, resume=resumption.kind) for outcome in outcomes]

    def _open_directories(self, members: Sequence[int], resumption: Resumption, stack: ExitStack) -> None:
        """Begin and lock the runs that are new, and record that the others continue."""
        for i, m in enumerate(members):
            run = self._runs[m]
            if run_directory.is_claimed(run.directory):
                resumption.note(i, run.directory)
                continue
            config = run.config
            run_directory.begin(run.directory, to_yaml(config), self._identities[m], config.torch_threads or 1)
            if not self._options.resume or self._process_group.rank:
                stack.enter_context(locked(run.directory))


@dataclass(frozen=True, slots=True)
class _Training:
    """A population in training, and what observes it."""

    population: Population
    budget: Budget
    recorder: Recorder
    checkpointer: Checkpointer
    evaluation: PeriodicEvaluation


class _Ending(NamedTuple):
    """How training ended: the status, the error if there was one, and the signal that asked for it."""

    status: Status
    error: str | None = None
    signal: int | None = None


def _train(
    training: _Training,
    runs: Sequence[Run],
    until: int | None,
    request: StopRequest,
    should_stop: Callable[[], bool],
) -> _Ending:
    """Train and save until the budget is spent or something ends it."""
    try:
        return _train_until_stopped(training, until, request, should_stop)
    except distributed.ProcessLostError as failure:
        request.close()  # torchrun ends the remaining processes, and this one still has to report why it ends
        return _Ending(Status.FAILED, f"another process of this run was lost: {failure}")
    except OSError as failure:
        return _Ending(Status.FAILED, _unwritable(failure))
    except (Exception, SystemExit) as failure:
        # A component that calls sys.exit ends its own run only.
        write_traceback(runs)
        return _Ending(Status.FAILED, in_words(failure))


def _train_until_stopped(
    training: _Training, until: int | None, request: StopRequest, should_stop: Callable[[], bool]
) -> _Ending:
    recorder, budget, process_group = training.recorder, training.budget, training.population.process_group
    number = 0
    for _ in train_updates(training.population, budget, recorder):
        # Evaluated before it is saved, so that it is not evaluated again when it is resumed.
        training.evaluation.evaluate_if_due()
        # All processes stop and save together, whichever of them was asked to.
        mine = (request.number or 0, int(should_stop()), int(training.checkpointer.is_due))
        number, stop, is_due = process_group.maximum(mine)
        if is_due:
            training.checkpointer.save()
        if number or stop or recorder.all_diverged or (until is not None and recorder.step >= until):
            break
    training.checkpointer.save()
    if recorder.all_diverged:
        return _Ending(Status.DIVERGED)
    if recorder.step >= budget.steps:
        return _Ending(Status.DONE)
    if number:
        return _Ending(Status.INTERRUPTED, signal=number)
    return _Ending(Status.PAUSED if until is not None and recorder.step >= until else Status.INTERRUPTED)


def _finish(recorder: Recorder, member: int, run: Run, ending: _Ending) -> Outcome:
    """Write how a member's run ended, which is as its population ended unless the member diverged."""
    divergence = recorder.divergences.get(member)
    status, error, _ = ending
    if divergence is not None:
        status, error = Status.DIVERGED, f"{divergence}\n  with {_suspects(run.config)}; all of it is in config.yaml"
    outcome = Outcome(
        directory=run.directory,
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
            run.directory,
            status,
            results={
                "env": run.config.env.id,
                "engine": run.config.engine.name,
                "seed": run.config.seed,
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


def _suspects(config: RunConfig) -> str:
    """Return the settings that usually cause a divergence, with their values."""
    clip = f"clip={config.clip.name}, clip.max_norm={config.clip.max_norm:g}"
    return f"optim.learning_rate={config.optim.learning_rate:g}, {clip}, seed={config.seed}"


def _unwritable(failure: OSError) -> str:
    return f"the run's files cannot be written: {failure.strerror or failure}"


def _title(configs: Sequence[RunConfig]) -> str:
    first = configs[0]
    name = f"{first.env.id} {first.arch.name} {first.optim.name}"
    return f"{name} seed {first.seed}" if len(configs) == 1 else f"{name} x {len(configs)}"


def _writers(run: Run, resume_at: int | None, stack: ExitStack) -> list[Writer]:
    config = run.config
    writers: list[Writer] = [
        JsonlWriter(run.directory / run_directory.METRICS, resume_at or 0),
        TensorBoardWriter(run.directory, Experiment(to_yaml(config), settings(config), group(config)), resume_at),
    ]
    for writer in writers:
        stack.callback(_close, writer)
    return writers


def _close(writer: Writer) -> None:
    """Close a writer. If it could not write, the run has failed already, and closing fails again."""
    with suppress(OSError):
        writer.close()


@contextmanager
def _silent_write_errors() -> Iterator[None]:
    """Keep Python from printing TensorBoard's write errors, which arise in a thread; the run's next write fails too."""
    before = threading.excepthook

    def hook(failure: threading.ExceptHookArgs) -> None:
        if not issubclass(failure.exc_type, OSError):
            before(failure)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before
