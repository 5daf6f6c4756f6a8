"""What a user sees, and can do, while packages are imported: torch alone takes seconds."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from acexp.system import torchrun

EXIT_INTERRUPTED = 130
INTERRUPTED = "acexp: interrupted"
LOADING = "acexp: loading ..."


@contextmanager
def loading(*, shown: bool = True) -> Iterator[None]:
    """Show on a terminal that the imports of the block take a while, and let Ctrl-C end the process meanwhile."""
    shown = shown and sys.stderr.isatty() and not torchrun.rank()
    with _kept_objects(), _immediate_interrupt(f"\n{INTERRUPTED}\n" if shown else f"{INTERRUPTED}\n"):
        _write(LOADING if shown else "")
        try:
            yield
        except BaseException:
            _write("\n" if shown else "")
            raise
        _write(" done\n" if shown else "")


@contextmanager
def _kept_objects() -> Iterator[None]:
    """Do not look for garbage in the block, nor, until the process ends, among the million objects that imports make.

    Nearly all of them are kept, and to visit them takes a quarter of the time of the imports, and once more at the end.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


@contextmanager
def _immediate_interrupt(message: str) -> Iterator[None]:
    """Let Ctrl-C end the process immediately: packages that are being imported may swallow a KeyboardInterrupt."""

    def end(number: int, frame: FrameType | None) -> None:
        os.write(sys.stderr.fileno(), message.encode())
        os._exit(EXIT_INTERRUPTED)

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
