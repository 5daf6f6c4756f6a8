"""`python -m acexp`, and the `acexp` command."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_REFUSED = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141

INTERRUPTED = "acexp: interrupted"


def main(arguments: list[str] | None = None) -> int:
    """Run the command that the first argument names, or train; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    if "" not in sys.path:
        sys.path.insert(0, "")  # the user's own components lie in the current folder
    with _immediate_interrupt():
        # The import takes a second or two, during which the user may press Ctrl-C.
        from acexp import commands  # noqa: F401
    try:
        return _run(arguments)
    except BrokenPipeError:
        # The reader of the output, `head` for instance, has closed it, so nothing more can be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except KeyboardInterrupt:
        sys.stderr.write(f"{INTERRUPTED}\n")
        return EXIT_INTERRUPTED


def _run(arguments: list[str]) -> int:
    from rich.console import Console

    from acexp.commands import COMMANDS, train
    from acexp.core.errors import UserError
    from acexp.system import distributed

    try:
        if arguments and arguments[0] in COMMANDS:
            return COMMANDS[arguments[0]](arguments[1:])
        return train(arguments)
    except UserError as error:
        if not distributed.rank():  # the other processes of the run were refused for the same reason
            Console(stderr=True, highlight=False, soft_wrap=True).print(f"acexp: {error}", markup=False)
        return EXIT_REFUSED


@contextmanager
def _immediate_interrupt() -> Iterator[None]:
    """Let Ctrl-C end the process immediately: packages that are being imported may swallow a KeyboardInterrupt."""

    def end(number: int, frame: FrameType | None) -> None:
        os.write(sys.stderr.fileno(), f"{INTERRUPTED}\n".encode())
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


if __name__ == "__main__":
    sys.exit(main())
