"""A pool of threads for small jobs, for simulators that release Python's global lock while they step."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator

ENVIRONMENTS_PER_THREAD = 4
"""Smallest number of environments per thread: waking a thread takes as long as 5 to 10 steps of a small simulator."""


def useful_threads(n_envs: int, limit: int) -> int:
    """Return the number of threads that is fastest for `n_envs` environments, at most `limit`."""
    return max(1, min(limit, n_envs // ENVIRONMENTS_PER_THREAD))


class ThreadPool:
    """The calling thread and `n_threads - 1` helper threads, which take jobs one at a time until none is left.

    Taking single jobs, rather than equal slices, keeps all threads busy when a helper wakes late or a job is slow.
    Threads are signalled by locks only, because a future of an executor costs as much as a simulator's step.
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
        """Run all jobs, in any order; an exception of a job is raised here after every thread has stopped."""
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
        """End the helper threads. A second call does nothing."""
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
