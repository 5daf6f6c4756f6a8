"""Layer 6: `python -m acexp` and the `acexp` command."""

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
    """Run the command that the first argument names, or train. Returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    if "" not in sys.path:
        sys.path.insert(0, "")  # components of the user's own lie in the current folder
    with _ends_at_once():
        # It takes a second or two, in which somebody may press Ctrl-C already.
        from acexp import commands  # noqa: F401
    try:
        return _run(arguments)
    except BrokenPipeError:
        # Whoever read the output, `head` for instance, has seen enough; nothing more can be written to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except KeyboardInterrupt:
        sys.stderr.write(f"{INTERRUPTED}\n")
        return EXIT_INTERRUPTED


def _run(arguments: list[str]) -> int:
    from rich.console import Console

    from acexp.commands import COMMANDS, train
    from acexp.commands.preflight import Refused
    from acexp.core.errors import UserError
    from acexp.system import distributed

    try:
        if arguments and arguments[0] in COMMANDS:
            return COMMANDS[arguments[0]](arguments[1:])
        return train(arguments)
    except (UserError, Refused) as refusal:
        error = refusal.error if isinstance(refusal, Refused) else refusal
        if distributed.rank():
            return EXIT_REFUSED  # the first of the processes says it
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"acexp: {error}", markup=False)
        return EXIT_REFUSED


@contextmanager
def _ends_at_once() -> Iterator[None]:
    """Ctrl-C ends the process then and there: packages that are being imported may swallow a KeyboardInterrupt."""

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
