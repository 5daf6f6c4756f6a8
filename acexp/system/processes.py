"""Processes of this machine: what starts them, and why they have ended.

They are forked from a clean server that has imported acexp already (multiprocessing's `forkserver`), so starting one
costs milliseconds. Where processes cannot be forked, as on Windows, each is a new interpreter (`spawn`).
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from typing import TYPE_CHECKING

from acexp.system.signals import STOPPING, ignored

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, SpawnContext


def prepare_processes(module: str) -> ForkServerContext | SpawnContext:
    """Return what starts processes: a server from which they are forked, or `spawn` where none can be forked.

    The server is started unless it runs already, and imports `module` in the background, which takes seconds.
    """
    if "forkserver" in multiprocessing.get_all_start_methods():
        return _fork_server(module)
    return multiprocessing.get_context("spawn")


def _fork_server(module: str) -> ForkServerContext:
    """Start the server from which processes are forked.

    The server and its children block the signals that request a stop: a terminal sends them to the whole process group,
    where they would interrupt imports with tracebacks and runs in the middle of a save.
    """
    from multiprocessing import forkserver, resource_tracker

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module])
    resource_tracker.ensure_running()  # It unblocks the signals, so it must be called first.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


def starting(context: ForkServerContext | SpawnContext) -> contextlib.AbstractContextManager[None]:
    """Return a block in which processes can be started: a terminal sends Ctrl-C to new interpreters too.

    It would end them while they import acexp.
    """
    return ignored() if context.get_start_method() == "spawn" else contextlib.nullcontext()


def ignore_stopping() -> None:
    """Ignore the signals that request a stop in this process, whose parent decides when it ends."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


def cause_of_end(exit_code: int | None) -> str:
    """Return in words why a process has ended."""
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        return f"{name}; out of memory?" if name == "SIGKILL" else name
    return f"exit code {exit_code}"
