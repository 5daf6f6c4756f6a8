"""Layer 5: being told to stop. A run stops between two updates, when everything that it holds fits together."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR2") if hasattr(signal, name))
"""Ctrl-C, what schedulers send before they kill, and what Slurm can be asked to send before a requeue."""


class StopRequest:
    """Whether somebody has asked for an end, and by which signal.

    Attributes:
        number: of the signal; None while nobody has.
        is_closed: whether signals are ignored from now on.
    """

    def __init__(self, taken: Sequence[int] = ()) -> None:
        self.number: int | None = None
        self._taken = taken
        self.is_closed = False

    def close(self) -> None:
        """Ignore signals for good: the process is ending by itself, and whoever wants its end need not ask."""
        self.is_closed = True
        for number in self._taken:
            signal.signal(number, signal.SIG_IGN)


@contextmanager
def stoppable() -> Iterator[StopRequest]:
    """Take signals as requests; a second one ends the process as it would have without us.

    Signals that are ignored stay ignored. Outside the main thread, where Python handles no signals, nothing is taken.
    """
    if threading.current_thread() is not threading.main_thread():
        yield StopRequest()
        return
    before = {number: signal.getsignal(number) for number in STOPPING}
    taken = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    request = StopRequest(taken)

    def restore() -> None:
        for number in taken:
            signal.signal(number, before[number])

    def ask(number: int, frame: FrameType | None) -> None:
        request.number = number
        if not request.is_closed:
            for each in taken:
                signal.signal(each, signal.SIG_DFL)

    for number in taken:
        signal.signal(number, ask)
    try:
        yield request
    finally:
        if not request.is_closed:
            restore()
