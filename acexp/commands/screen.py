"""The consoles that commands print on, and paths as they are shown there."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import IO, cast

from rich.console import Console

from acexp.commands.tables import WIDEST
from acexp.system import torchrun


class _Output(io.TextIOBase):
    """Standard output for as long as it can be written to: a reader that goes away, as `head` does, ends no run."""

    def __init__(self) -> None:
        self._stream = sys.stdout  # which a live display replaces while it is shown

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream, which decides whether lines and bars are drawn with letters only."""
        return self._stream.encoding

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            self._give_up()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self._give_up()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def _give_up(self) -> None:
        """Write nowhere from now on; what is buffered would fail again, at the latest when Python ends."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)


def console_for_runs() -> Console:
    """Return the console of commands that train; of several processes of one run, only rank 0 prints."""
    return _console(quiet=torchrun.rank() > 0, file=cast(IO[str], _Output()))


def console_for_tables() -> Console:
    """Return the console of commands that print tables."""
    return _console()


def _console(*, quiet: bool = False, file: IO[str] | None = None) -> Console:
    """Return a console that does not wrap tables to 80 columns where its output is a file or a pipe."""
    width = None if sys.stdout.isatty() else WIDEST
    return Console(highlight=False, soft_wrap=True, quiet=quiet, width=width, file=file)


def relative(path: Path) -> str:
    """Return `path` relative to the working directory if it lies below it, else absolute."""
    whole = path.absolute()  # os.path.relpath raises an error for another drive of Windows
    return str(whole.relative_to(Path.cwd())) if whole.is_relative_to(Path.cwd()) else str(path)
