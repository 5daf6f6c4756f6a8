"""Signals that ask a run to stop. A run stops between two updates, when its whole state is consistent."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR2") if hasattr(signal, name))
"""Ctrl-C, the signal that schedulers send before they kill, and the one that Slurm can send before a requeue."""


class StopRequest:
    """Records whether a signal has asked this process to stop.

    Attributes:
        number: Number of the signal; None until one arrives.
        is_closed: True once signals are ignored for good.
    """

    def __init__(self, handled: Sequence[int] = ()) -> None:
        self.number: int | None = None
        self._handled = handled
        self.is_closed = False

    def close(self) -> None:
        """Ignore these signals for good, because the process is about to end anyway."""
        self.is_closed = True
        for number in self._handled:
            signal.signal(number, signal.SIG_IGN)


@contextmanager
def stoppable() -> Iterator[StopRequest]:
    """Turn the first signal into a request to stop; the second one has its usual effect.

    Signals that are ignored stay ignored. Outside the main thread, where Python handles no signals, none is handled.
    """
    if threading.current_thread() is not threading.main_thread():
        yield StopRequest()
        return
    before = {number: signal.getsignal(number) for number in STOPPING}
    handled = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    request = StopRequest(handled)

    def restore() -> None:
        for number in handled:
            signal.signal(number, before[number])

    def record(number: int, frame: FrameType | None) -> None:
        request.number = number
        if not request.is_closed:
            for each in handled:
                signal.signal(each, signal.SIG_DFL)

    for number in handled:
        signal.signal(number, record)
    try:
        yield request
    finally:
        if not request.is_closed:
            restore()
