"""A few threads that share a list of small jobs, for simulators that release Python's global lock while they step."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator

ENVIRONMENTS_PER_THREAD = 8
"""To wake a thread takes about as long as five to ten steps of a small simulator (docs/performance.md)."""


def worthwhile(n_envs: int, limit: int) -> int:
    """How many threads pay for so many environments, `limit` at most."""
    return max(1, min(limit, n_envs // ENVIRONMENTS_PER_THREAD))


class ThreadPool:
    """The calling thread and some helpers, which take jobs one at a time until none is left.

    Handing out single jobs, rather than a slice to each, keeps all of them busy when a helper wakes late or a job is
    dear. Locks are all the signalling there is: an executor's futures cost as much as a simulator's step.
    """

    def __init__(self, n_threads: int, job: Callable[[int], None]) -> None:
        self._job = job
        self._jobs: Iterator[int] = iter(())
        self._errors: list[BaseException] = []
        self._is_open = True
        self._starts = [_taken_lock() for _ in range(n_threads - 1)]
        self._ends = [_taken_lock() for _ in range(n_threads - 1)]
        self._helpers = [
            threading.Thread(target=self._help, args=locks, daemon=True, name=f"acexp-engine-{i}")
            for i, locks in enumerate(zip(self._starts, self._ends, strict=True), start=1)
        ]
        for helper in self._helpers:
            helper.start()

    def run(self, jobs: Iterable[int]) -> None:
        """Do them all, in any order; what one raises is raised here once every thread has stopped."""
        self._jobs = iter(jobs)
        for start in self._starts:
            start.release()
        self._work()
        for end in self._ends:
            end.acquire()
        if self._errors:
            error, self._errors = self._errors[0], []
            raise error

    def _work(self) -> None:
        try:
            for index in self._jobs:
                self._job(index)
        except BaseException as error:
            self._jobs = iter(())
            self._errors.append(error)

    def _help(self, start: threading.Lock, end: threading.Lock) -> None:
        while True:
            start.acquire()
            if not self._is_open:
                return
            self._work()
            end.release()

    def close(self) -> None:
        """End the helpers. Calling it twice does nothing."""
        if not self._is_open:
            return
        self._is_open = False
        for start in self._starts:
            start.release()
        for helper in self._helpers:
            helper.join()


def _taken_lock() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock
