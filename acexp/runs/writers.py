"""The writers of a run, which log its metrics: a new logger is opened here."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from acexp.config import group, settings, to_yaml
from acexp.config.names import short_keys
from acexp.metrics import Experiment, JsonlWriter, TensorBoardWriter, Writer
from acexp.runs import run_directory
from acexp.runs.run import Run


def open_writers(run: Run, resume_at: int | None, stack: ExitStack) -> list[Writer]:
    """Open the writers of a run, which `stack` closes; lines after env step `resume_at` are removed first."""
    writers: list[Writer] = [
        JsonlWriter(run.directory / run_directory.METRICS, resume_at or 0),
        TensorBoardWriter(run.directory, _experiment(run), resume_at),
    ]
    for writer in writers:
        stack.callback(_close, writer)
    return writers


def _experiment(run: Run) -> Experiment:
    """Return the description of a run: by what varies in its sweep, or by all settings if it is on its own."""
    everything, name = settings(run.config), group(run.config)
    if not run.varying:
        return Experiment(to_yaml(run.config), everything, name)
    shown = {key: everything.get(key, "null") for key in run.varying}
    short = short_keys([key.removesuffix(".name") for key in run.varying])
    cell = ", ".join(f"{key}={value}" for key, value in zip(short.values(), shown.values(), strict=True))
    return Experiment(to_yaml(run.config), shown, f"{cell} ({name.split()[-1]})")


def _close(writer: Writer) -> None:
    """Close a writer. If it could not write, the run has failed already, and closing fails again."""
    with suppress(OSError):
        writer.close()


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
