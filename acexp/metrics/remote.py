"""Writers that talk to a server: called in a thread, so that a server that cannot be reached costs a warning."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from acexp.metrics.writer import Writer

SECONDS = 15.0
"""How long the end of a run waits for a call of a writer to return."""
MOST_WAITING = 10_000
"""The most calls that wait for the thread; a server that is slower than training must not fill the memory."""
LONGEST_REASON = 200

Call = Callable[[], Any]


class RemoteThread:
    """A thread that makes the calls of all remote writers of a population, one after the other."""

    def __init__(self) -> None:
        self._calls: queue.Queue[Call | None] = queue.Queue(MOST_WAITING)
        self._returned = threading.Condition()
        self._n_submitted = self._n_returned = 0
        self._is_stuck = False
        # Python does not wait for a daemon when it ends: a call to a server may never return.
        threading.Thread(target=self._run, name="acexp-remote", daemon=True).start()

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            with self._returned:
                self._n_returned += 1
                self._returned.notify_all()

    def submit(self, call: Call) -> bool:
        """Let the thread make a call that raises no exception; return False if too many are waiting."""
        try:
            self._calls.put_nowait(call)
        except queue.Full:
            return False
        self._n_submitted += 1
        return True

    def wait(self) -> bool:
        """Wait until every call has returned; return False once SECONDS pass in which none does."""
        with self._returned:
            while self._n_returned < self._n_submitted:
                if self._is_stuck or not self._returned.wait(SECONDS):
                    self._is_stuck = True
                    return False
            self._is_stuck = False
            return True

    def close(self) -> None:
        """End the thread, after the calls that are waiting."""
        with suppress(queue.Full):
            self._calls.put_nowait(None)


class RemoteWriter(Writer):
    """Passes everything on to another writer in a thread; the first failure costs a warning, and ends the writing.

    Args:
        name: The name of the writer in `log.writers`.
        open_writer: Opens the other writer.
        thread: The thread that makes all calls.
        warn: Takes the warning, from whichever thread.
    """

    def __init__(
        self, name: str, open_writer: Callable[[], Writer], thread: RemoteThread, warn: Callable[[str], None]
    ) -> None:
        self._name, self._thread, self._warn = name, thread, warn
        self._open_writer = open_writer
        self._writer: Writer | None = None
        self._is_lost = False
        self._submit(self._open)

    def write(self, step: int, scalars: Mapping[str, float], timings: Mapping[str, float]) -> None:
        self._submit(lambda: self._opened.write(step, scalars, timings))

    def end(self, step: int, results: Mapping[str, float]) -> None:
        self._submit(lambda: self._opened.end(step, results))

    def set_status(self, status: str) -> None:
        self._submit(lambda: self._opened.set_status(status))

    def close(self) -> None:
        self._submit(lambda: self._opened.close())
        if not self._is_lost and not self._thread.wait():
            self._lose(f"it has not answered for {SECONDS:g} seconds")

    def _open(self) -> None:
        self._writer = self._open_writer()

    @property
    def _opened(self) -> Writer:
        assert self._writer is not None
        return self._writer

    def _submit(self, call: Call) -> None:
        if not self._is_lost and not self._thread.submit(lambda: self._attempt(call)):
            self._lose(f"{MOST_WAITING:,} of its calls are waiting for an answer")

    def _attempt(self, call: Call) -> None:
        if self._is_lost:
            return
        try:
            call()
        except (Exception, SystemExit) as error:
            self._lose(f"{type(error).__name__}: {error}")

    def _lose(self, reason: str) -> None:
        """Warn once, and write nothing more."""
        if not self._is_lost:
            self._is_lost = True
            line = " ".join(reason.split())
            shown = line if len(line) <= LONGEST_REASON else f"{line[: LONGEST_REASON - 3]}..."
            self._warn(f"log.writers: {self._name} misses values of this run, which metrics.jsonl has: {shown}")
