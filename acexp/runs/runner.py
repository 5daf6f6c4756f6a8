"""Trains a population of runs, each into its own directory."""

from __future__ import annotations

import itertools
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

from acexp.algorithm.assembly import assemble, resolve, useful_threads
from acexp.algorithm.loop import Budget
from acexp.algorithm.loop import train as train_updates
from acexp.algorithm.population import Population
from acexp.config import RunConfig, identity, require_equal_structure, to_yaml
from acexp.core.errors import UserError
from acexp.core.stopping import ShouldStop, StopRequestedError, never
from acexp.engines import FaultyEnvironmentError
from acexp.metrics import Display, Recorder, Silent, require_writers
from acexp.runs import run_directory
from acexp.runs.awaiting import Patience, stopping_line
from acexp.runs.checkpointer import Checkpointer
from acexp.runs.claims import claim
from acexp.runs.ending import Ending, finish, unwritable_files
from acexp.runs.evaluation import PeriodicEvaluation
from acexp.runs.outcome import Outcome, in_words, record_failure, write_traceback
from acexp.runs.resumption import Groups, Resumption, load_resumptions
from acexp.runs.run import Run, TrainOptions
from acexp.runs.run_directory import Status
from acexp.runs.writers import open_logs, silent_write_errors
from acexp.system import distributed, torchrun
from acexp.system.cores import available_cores, compute_threads
from acexp.system.lock import locked
from acexp.system.memory import keep_large_blocks
from acexp.system.signals import StopRequest, stoppable

DEFAULTS = TrainOptions()


def train(
    runs: Sequence[Run],
    options: TrainOptions = DEFAULTS,
    display: Display | None = None,
    should_stop: ShouldStop = never,
) -> list[Outcome]:
    """Train M runs of equal structure as one population, each into its own directory, and return how each ended.

    A signal (see `stoppable`), or `should_stop` returning True, ends training cleanly with status `interrupted`: after
    the update, or in the middle of its rollout where updates are slow. An error of acexp or of a component is written
    to every run's error.log and returned as `failed`. Raises UserError, before a directory is touched, for what cannot
    be built, and for resumed runs that have not come equally far.
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
    should_stop: ShouldStop = never,
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
        self._cores = (options.cores or available_cores()) // torchrun.local_world_size() or 1
        self._runs = [replace(run, config=resolve(run.config, self._cores)) for run in runs]
        self._options = options
        self._request: StopRequest | None = None
        self._checkpointer: Checkpointer | None = None
        self._stack = ExitStack()
        self.groups: Groups = []
        self._refused: dict[int, UserError] = {}

    def __enter__(self) -> _Session:
        with ExitStack() as stack:
            first = self._runs[0].config
            distributed.require_even_shards(first.algo.n_envs)
            if not self._options.resume:
                for run in self._runs:
                    claim(run.directory)
            if len(self._runs) > 1:
                keep_large_blocks()
            self._handlers = stack.enter_context(ExitStack())
            self._process_group = stack.enter_context(distributed.process_group())
            # Networks are initialized with one thread, so that they are the same on every machine; see _choose_threads.
            stack.enter_context(compute_threads(first.torch_threads or 1))
            stack.enter_context(silent_write_errors())
            self.groups, self._refused = self._process_group.from_rank_zero(lambda: self._resumptions(stack))
            if self._process_group.rank:
                # Rank 0 writes the runs; what the others have to write as well goes into temporary folders.
                own = Path(stack.enter_context(TemporaryDirectory(prefix="acexp-")))
                self._runs = [replace(run, directory=own / str(m)) for m, run in enumerate(self._runs)]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def _resumptions(self, stack: ExitStack) -> tuple[Groups, dict[int, UserError]]:
        """Lock the runs that continue, and read what they continue from; see load_resumptions."""
        if not self._options.resume:
            return [(list(range(len(self._runs))), Resumption())], {}
        for run in self._runs:
            run.directory.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(run.directory))
        groups, refused = load_resumptions(self._runs)
        if not groups:
            raise next(iter(refused.values()))
        return groups, refused

    def train(self, display: Display, should_stop: ShouldStop) -> list[Outcome]:
        """Train one group after the other, and return the outcome of every run."""
        if not self._options.allow_changes:
            for members, resumption in self.groups:
                resumption.refuse_changes([self._runs[m].directory for m in members])
        ended = {m: self._refuse(m, error) for m, error in self._refused.items()}
        waiting = deque(self.groups)
        while waiting and not any(outcome.status is Status.INTERRUPTED for outcome in ended.values()):
            members, resumption = waiting.popleft()
            try:
                ended |= self._train_group(members, resumption, display, should_stop)
            except StopRequestedError:
                break
            except FaultyEnvironmentError as fault:
                if self._process_group.world_size > 1 or (fault.member is None and not ended):
                    raise  # the other processes cannot go on, or no run has begun
                for m in members if fault.member is None else [members[fault.member]]:
                    ended[m] = self._record_failure(m, fault, resumption)
            except UserError as refusal:
                if self._process_group.world_size > 1 or not (ended or waiting):
                    raise
                ended |= {m: self._refuse(m, refusal) for m in members}
            left = [m for m in members if m not in ended]
            if left:
                display.note(f"{len(left)} runs of this population go on without the one that failed")
                groups, refused = load_resumptions([self._runs[m] for m in left])
                ended |= {left[i]: self._refuse(left[i], error) for i, error in refused.items()}
                waiting.extendleft(([left[i] for i in group], found) for group, found in reversed(groups))
        return [ended.get(m, Outcome(run.directory, Status.INTERRUPTED)) for m, run in enumerate(self._runs)]

    def _train_group(
        self, members: Sequence[int], resumption: Resumption, display: Display, should_stop: ShouldStop
    ) -> dict[int, Outcome]:
        """Train runs as one population; return the outcomes of those that have ended, by their numbers.

        If an environment fails, only its run has ended, and the others are left as they were last saved.
        """
        runs = [self._runs[m] for m in members]
        configs, group_ = [run.config for run in runs], self._process_group
        with ExitStack() as stack:
            line = f"resume: the episodes that had begun before env step {resumption.step:,} are being played again"
            patience = Patience(self._or_signalled(should_stop), display.note, line)
            population, resumption = self._restore(configs, resumption, patience, stack)
            self._choose_threads(members, population, stack)
            runs = [self._runs[m] for m in members]
            population.collector.engine.should_stop = self._should_leave_rollout(should_stop)
            resume_at = [resumption.step if run_directory.has_begun(run.directory) else None for run in runs]
            require_writers(configs[0].log.writers)
            # Nothing has been written up to here: whatever is refused leaves the runs as they were.
            self._open_directories(members, resumption)
            logs = open_logs([] if group_.rank else runs, resume_at, display.note, stack)
            recorder = Recorder(population.objective, logs.writers or [[] for _ in runs], configs[0].log.every, display)
            resumption.restore_recorder(recorder)
            budget = Budget(
                total_steps=configs[0].total_steps, steps_per_update=configs[0].algo.n_steps * configs[0].algo.n_envs
            )
            self._checkpointer = Checkpointer(population, recorder, runs)
            training = _Training(
                population,
                budget,
                recorder,
                self._checkpointer,
                PeriodicEvaluation(population, runs, recorder, display.note),
            )
            if resumption.step:
                display.note(f"resume: from env step {resumption.step:,}")
            notes = [[note for note in (resumption.damage(i), resumption.jump) if note] for i in range(len(runs))]
            for note in dict.fromkeys(itertools.chain(*notes)):
                display.note(note)
            display.start(_title(configs), budget.steps, resumption.step)
            # Handled until everything is written and closed: a late signal must not end what is about to end well.
            self._request = self._request or self._handlers.enter_context(
                stoppable(None if group_.rank else self._describe_stopping)
            )
            try:
                ending = _train(training, runs, self._options.until, self._request, should_stop)
            finally:
                display.close()
            over = range(len(runs)) if ending.member is None else [ending.member]
            outcomes = {i: finish(recorder, i, runs[i], ending) for i in over}
        return {
            members[i]: replace(
                outcome,
                resume=resumption.kind,
                obstacle=resumption.obstacle,
                notes=(*notes[i], *outcome.notes, *(logs.warnings[i] if logs.warnings else ())),
            )
            for i, outcome in outcomes.items()
        }

    def _restore(
        self, configs: Sequence[RunConfig], resumption: Resumption, should_stop: ShouldStop, stack: ExitStack
    ) -> tuple[Population, Resumption]:
        """Build a population, and bring it to where its runs were saved; `stack` closes its environments.

        Environments that cannot be brought back begin new episodes, as the resumption that is returned says.
        """
        with ExitStack() as built:
            population = built.enter_context(assemble(configs, resumption.new_episodes_at, self._process_group))
            population.collector.engine.should_stop = should_stop
            obstacle = resumption.restore(population)
            if obstacle is None:
                stack.enter_context(built.pop_all())
                return population, resumption
        return self._restore(configs, resumption.without_environments(obstacle), should_stop, stack)

    def _choose_threads(self, members: Sequence[int], population: Population, stack: ExitStack) -> None:
        """Let torch compute with the threads that these runs' configs set, or else with those that suit their networks.

        The runs' configs, which are recorded, then have the number. `stack` gives the threads back.
        """
        threads = self._runs[members[0]].config.torch_threads or useful_threads(population.policy, self._cores)
        stack.enter_context(compute_threads(threads))
        for m in members:
            run = self._runs[m]
            self._runs[m] = replace(run, config=replace(run.config, torch_threads=threads))

    def _or_signalled(self, should_stop: ShouldStop) -> ShouldStop:
        """Return a function that returns True once a signal has arrived, if they are handled yet, or `should_stop`."""
        return lambda: (self._request is not None and self._request.number is not None) or should_stop()

    def _should_leave_rollout(self, should_stop: ShouldStop) -> ShouldStop:
        """Return a function that returns True once training should stop, and nothing else is lost with the rollout."""
        is_asked = self._or_signalled(should_stop)
        return lambda: is_asked() and self._checkpointer is not None and self._checkpointer.can_leave_rollout

    def _describe_stopping(self, frame: FrameType | None) -> str:
        """Return the line that is printed when a signal asks to stop in this frame."""
        if self._checkpointer is None:
            return stopping_line(frame, 0)
        can_leave = self._checkpointer.can_leave_rollout
        return stopping_line(frame, self._checkpointer.saved_step, can_leave_rollout=can_leave)

    def _open_directories(self, members: Sequence[int], resumption: Resumption) -> None:
        """Begin and lock the runs that are new, and record that the others continue."""
        for i, m in enumerate(members):
            if run_directory.has_begun(self._runs[m].directory):
                resumption.note(i, self._runs[m].directory)
            else:
                self._begin(m)

    def _begin(self, m: int) -> None:
        """Begin a run that is new, and lock it until the session ends."""
        directory, config = self._runs[m].directory, self._runs[m].config
        run_directory.begin(directory, to_yaml(config), self._identities[m], config.torch_threads or 1)
        if not self._options.resume or self._process_group.rank:
            self._stack.enter_context(locked(directory))

    def _refuse(self, m: int, error: UserError) -> Outcome:
        """Return the outcome of a run that cannot begin, or go on: if it has begun before, it is left as it was."""
        run = self._runs[m]
        if not run_directory.has_begun(run.directory):
            with suppress(UserError):  # its directory may be the reason
                self._begin(m)
                run_directory.end(run.directory, Status.FAILED, {"error": str(error)})
        return Outcome(run.directory, Status.FAILED, error=str(error))

    def _record_failure(self, m: int, fault: FaultyEnvironmentError, resumption: Resumption) -> Outcome:
        """Write into a run's directory that its environment failed before training began, and return the outcome."""
        run = self._runs[m]
        error = fault.during_training(run.config.env.id, run.config.seed, resumption.step)
        if not run_directory.has_begun(run.directory):
            self._begin(m)
        write_traceback([run])
        run_directory.end(run.directory, Status.FAILED, {"error": error})
        return Outcome(run.directory, Status.FAILED, error=error)


@dataclass(frozen=True, slots=True)
class _Training:
    """A population in training, and what observes it."""

    population: Population
    budget: Budget
    recorder: Recorder
    checkpointer: Checkpointer
    evaluation: PeriodicEvaluation


def _train(
    training: _Training,
    runs: Sequence[Run],
    until: int | None,
    request: StopRequest,
    should_stop: ShouldStop,
) -> Ending:
    """Train and save until the budget is spent or something ends it."""
    try:
        return _train_until_stopped(training, until, request, should_stop)
    except FaultyEnvironmentError as fault:
        # The other members can go on, but other processes cannot.
        member = fault.member if training.population.process_group.world_size == 1 else None
        write_traceback(runs if member is None else [runs[member]])
        config = runs[fault.member or 0].config
        error = fault.during_training(config.env.id, config.seed, training.recorder.step)
        return Ending(Status.FAILED, error, member=member)
    except distributed.ProcessLostError as failure:
        request.close()  # torchrun ends the remaining processes, and this one still has to report why it ends
        return Ending(Status.FAILED, f"another process of this run was lost: {failure}")
    except OSError as failure:
        return Ending(Status.FAILED, unwritable_files(failure))
    except (Exception, SystemExit) as failure:
        # A component that calls sys.exit ends its own run only.
        write_traceback(runs)
        return Ending(Status.FAILED, in_words(failure))


def _train_until_stopped(
    training: _Training, until: int | None, request: StopRequest, should_stop: ShouldStop
) -> Ending:
    recorder, budget, process_group = training.recorder, training.budget, training.population.process_group
    checkpointer, evaluation = training.checkpointer, training.evaluation
    number = is_left = 0
    try:
        for _ in _updates(training):
            if evaluation.is_due:
                # An evaluation may take long, or never end: nothing is lost with it.
                if checkpointer.saved_step < recorder.step:
                    checkpointer.save()
                evaluation.evaluate(lambda: request.number is not None or should_stop())
            # All processes stop and save together, whichever of them was asked to.
            mine = (request.number or 0, int(should_stop()), int(checkpointer.is_due), int(evaluation.is_due))
            number, stop, is_due, is_left = process_group.maximum(mine)
            if is_due:
                checkpointer.save()
            if number or stop or is_left or recorder.all_diverged or (until is not None and recorder.step >= until):
                break
            checkpointer.begin_update()
    except StopRequestedError:
        checkpointer.save_before_rollout()
        return Ending(Status.INTERRUPTED, signal=request.number)
    checkpointer.save()
    if recorder.all_diverged:
        return Ending(Status.DIVERGED)
    if recorder.step >= budget.steps and not is_left:
        return Ending(Status.DONE)
    if number:
        return Ending(Status.INTERRUPTED, signal=number)
    is_paused = until is not None and recorder.step >= until and not is_left
    return Ending(Status.PAUSED if is_paused else Status.INTERRUPTED)


def _updates(training: _Training) -> Iterator[int]:
    """Train, and yield after every update, as `loop.train` does.

    It is yielded at once if an evaluation is due that was left when the run was stopped.
    """
    if training.evaluation.is_due:
        yield training.recorder.step
    yield from train_updates(training.population, training.budget, training.recorder)


def _title(configs: Sequence[RunConfig]) -> str:
    first = configs[0]
    name = f"{first.env.id} {first.arch.name} {first.optim.name}"
    return f"{name} seed {first.seed}" if len(configs) == 1 else f"{name} x {len(configs)}"
