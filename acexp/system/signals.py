"""Signals that ask a run to stop. A run stops between two updates, when its whole state is consistent."""

from __future__ import annotations

import os
import signal
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

_NAMES = ("SIGINT", "SIGTERM", "SIGUSR2", "SIGHUP", "SIGBREAK")
STOPPING = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
"""Ctrl-C, the signal that schedulers send before they kill, the one that Slurm can send before a requeue, and the ones
that terminals and the consoles of Windows send when they are closed; Windows lacks two of them."""

STANDARD_OUTPUT, STANDARD_ERROR = 1, 2


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
def stoppable(describe: Callable[[FrameType | None], str] | None = None) -> Iterator[StopRequest]:
    """Turn the first signal into a request to stop; the second one has its usual effect.

    Signals that are ignored stay ignored. Outside the main thread, where Python handles no signals, none is handled.

    Args:
        describe: Returns a line that says what is awaited, given the frame that the signal interrupted. It is printed
            at once: what is awaited may take for ever. None prints nothing.
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
        if request.is_closed:
            return
        for each in handled:
            signal.signal(each, signal.SIG_DFL)
        if number == getattr(signal, "SIGHUP", None):
            _leave_terminal()
        elif describe is not None:
            # Python's own streams may be in the middle of a line, whose buffer must not be entered again.
            with suppress(OSError):
                os.write(STANDARD_ERROR, f"\n{describe(frame)}\n".encode())

    for number in handled:
        signal.signal(number, record)
    try:
        yield request
    finally:
        if not request.is_closed:
            restore()


@contextmanager
def ignored() -> Iterator[None]:
    """Ignore these signals inside the block. Processes that it starts begin by ignoring them too, but for Windows.

    Outside the main thread, where Python handles no signals, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave_terminal() -> None:
    """Print nowhere from now on where a terminal was, as it is gone: an error of writing must not end the run."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (STANDARD_OUTPUT, STANDARD_ERROR):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(descriptor).st_mode):
                os.dup2(nowhere, descriptor)
    os.close(nowhere)
