"""Opens the writers that log the metrics of runs: `metrics.jsonl`, and those that `log.writers` names."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module

from acexp.config import group, settings, to_yaml
from acexp.config.names import digest, short_keys
from acexp.metrics import WRITERS, Experiment, JsonlWriter, RemoteThread, RemoteWriter, Writer, packages_of
from acexp.runs import run_directory
from acexp.runs.run import Run

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Logs:
    """The open writers of a population's runs.

    Attributes:
        writers: The writers of each run.
        warnings: What each run's writers have warned of so far.
    """

    writers: list[list[Writer]]
    warnings: list[list[str]]


def open_logs(runs: Sequence[Run], resume_at: Sequence[int | None], note: Note, stack: ExitStack) -> Logs:
    """Open the writers of runs, which `stack` closes; lines after a run's env step `resume_at` are removed first.

    `note` shows what a writer warns of, once where several runs have the same warning.
    """
    if not runs:
        return Logs([], [])  # of several processes, the first alone writes
    experiments = [replace(_experiment(run), resume_at=step) for run, step in zip(runs, resume_at, strict=True)]
    files = [
        _closed_by(stack, JsonlWriter(run.directory / run_directory.METRICS, step or 0))
        for run, step in zip(runs, resume_at, strict=True)
    ]
    logs = _open_named(runs, experiments, note, stack)
    return replace(logs, writers=[[file, *named] for file, named in zip(files, logs.writers, strict=True)])


def add_to_logs(run: Run, step: int, scalars: Mapping[str, float], note: Note) -> None:
    """Write scalars of a run that is over with the writers that its config names.

    `metrics.jsonl` is not among them: it holds what was measured in training, and equal runs have equal ones.
    """
    with ExitStack() as stack:
        (writers,) = _open_named([run], [replace(_experiment(run), is_over=True)], note, stack).writers
        status = run_directory.read_status(run.directory).get("status")
        for writer in writers:
            writer.write(step, scalars, {})
            if status:
                writer.set_status(status)


def _open_named(runs: Sequence[Run], experiments: Sequence[Experiment], note: Note, stack: ExitStack) -> Logs:
    """Open the writers that the runs' configs name; those that talk to a server share one thread."""
    names = runs[0].config.log.writers
    warnings: list[list[str]] = [[] for _ in runs]
    remote = [name for name in names if _is_remote(name)]
    thread = RemoteThread() if remote else None
    if thread is not None:
        stack.callback(thread.close)
        for package in (package for name in remote for package in packages_of(name)):
            # In calls of their own: large packages are imported for longer than a server should need for an answer.
            thread.submit(partial(_import, package.name))

    def open_one(member: int, name: str) -> Writer:
        build, experiment = WRITERS[name].build, experiments[member]
        if thread is None or name not in remote:
            return build(experiment)

        def warn(line: str) -> None:
            is_known = any(line in each for each in warnings)
            warnings[member].append(line)
            if not is_known:
                note(line)

        return RemoteWriter(name, lambda: build(experiment), thread, warn)

    writers = [[_closed_by(stack, open_one(m, name)) for name in names] for m in range(len(runs))]
    return Logs(writers, warnings)


def _import(module: str) -> None:
    with suppress(Exception, SystemExit):  # it is imported again where it is used, and fails there
        import_module(module)


def _is_remote(name: str) -> bool:
    return getattr(WRITERS[name].build, "is_remote", False)


def _experiment(run: Run) -> Experiment:
    """Return the description of a run: by what varies in its sweep, or by all settings if it is on its own."""
    everything, cell = settings(run.config), group(run.config)
    shown: Mapping[str, bool | float | str] = everything
    if run.varying:
        shown = {key: everything.get(key, "null") for key in run.varying}
        short = short_keys([key.removesuffix(".name") for key in run.varying])
        levels = ", ".join(f"{key}={value}" for key, value in zip(short.values(), shown.values(), strict=True))
        cell = f"{levels} ({cell.split()[-1]})"
    place, status = run.directory.absolute(), run_directory.read_status(run.directory)
    return Experiment(
        directory=run.directory,
        id=digest(f"{place.parent.name}/{place.name} {status.get('identity')} {status.get('started')}", 16),
        name=place.name,
        group=cell,
        sweep=place.parent.name,
        config=to_yaml(run.config),
        settings=everything,
        varying=shown,
    )


def _closed_by(stack: ExitStack, writer: Writer) -> Writer:
    """Let `stack` close a writer. If it could not write, the run has failed already, and closing fails again."""

    def close() -> None:
        with suppress(OSError):
            writer.close()

    stack.callback(close)
    return writer


@contextmanager
def silent_write_errors() -> Iterator[None]:
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
