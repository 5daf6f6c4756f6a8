"""`python -m acexp`, and the `acexp` command."""

from __future__ import annotations

import os
import sys

from acexp.commands import find
from acexp.commands.loading import EXIT_INTERRUPTED, INTERRUPTED
from acexp.core.errors import UserError
from acexp.system import torchrun
from acexp.system.quiet import quiet_warnings

EXIT_REFUSED = 2
EXIT_BROKEN_PIPE = 141


def main(arguments: list[str] | None = None) -> int:
    """Run the command that the first argument names, or train; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    quiet_warnings()
    if "" not in sys.path:
        sys.path.insert(0, "")  # the user's own components lie in the current folder
    try:
        command, rest = find(arguments)
        return command.load()(rest)
    except UserError as error:
        _print_error(error)
        return EXIT_REFUSED
    except BrokenPipeError:
        # The reader of the output, `head` for instance, has closed it, so nothing more can be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except KeyboardInterrupt:
        sys.stderr.write(f"{INTERRUPTED}\n")
        return EXIT_INTERRUPTED


def _print_error(error: UserError) -> None:
    from rich.console import Console

    if not torchrun.rank():  # the other processes of the run were refused for the same reason
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"acexp: {error}", markup=False)


if __name__ == "__main__":
    sys.exit(main())
