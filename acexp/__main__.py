"""Layer 6: `python -m acexp` and the `acexp` command."""

from __future__ import annotations

import os
import sys
import warnings

from rich.console import Console

EXIT_REFUSED = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141


def main(arguments: list[str] | None = None) -> int:
    """Run the command that the first argument names, or train. Returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    if "" not in sys.path:
        sys.path.insert(0, "")  # components of the user's own lie in the current folder
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        return _run(arguments, console)
    except BrokenPipeError:
        # Whoever read the output, `head` for instance, has seen enough; nothing more can be written to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except KeyboardInterrupt:
        console.print("acexp: interrupted before training began", markup=False)
        return EXIT_INTERRUPTED


def _run(arguments: list[str], console: Console) -> int:
    # Imported here, as it takes a second or two in which somebody may press Ctrl-C already.
    from acexp.commands import COMMANDS, train
    from acexp.commands.preflight import Refused
    from acexp.core.errors import UserError

    try:
        if arguments and arguments[0] in COMMANDS:
            return COMMANDS[arguments[0]](arguments[1:])
        return train(arguments)
    except (UserError, Refused) as refusal:
        error = refusal.error if isinstance(refusal, Refused) else refusal
        console.print(f"acexp: {error}", markup=False)
        return EXIT_REFUSED


if __name__ == "__main__":
    sys.exit(main())
