"""`acexp dashboard`: shows runs in TensorBoard, and experiments as means over seeds."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import threading
from pathlib import Path
from urllib.parse import urlencode

from rich.console import Console
from tensorboard import program

from acexp.commands.arguments import Arguments
from acexp.commands.screen import relative
from acexp.core.errors import UserError
from acexp.metrics.tags import EPISODE_RETURN
from acexp.report.aggregates import FOLDER, aggregate
from acexp.system.files import unwritable

LOOPBACK = "127.0.0.1"

BY_CELL = rf"^(?:{FOLDER}/)?(.*?)(?:,?seed=\d+)?$"
"""The part of a run's name that decides its colour: a mean and the runs of its seeds have the same."""


def dashboard(arguments: list[str]) -> int:
    """Write the means over seeds, start TensorBoard, print its address, and wait for Ctrl-C."""
    parser = Arguments(prog="acexp dashboard", description="Look at runs in TensorBoard.")
    parser.add_argument("directory", type=Path, help="the directory of a sweep or a run, or one that contains several")
    parser.add_argument("--host", default=LOOPBACK, help=f"the address to listen on ({LOOPBACK}: this machine only)")
    parser.add_argument("--port", type=int, help="the port to listen on (6006, or the next free one; 0: any free port)")
    options = parser.parse_args(arguments)
    directory: Path = options.directory.resolve()
    console = Console(highlight=False, soft_wrap=True)
    try:
        made = aggregate(directory)
    except OSError as error:
        raise unwritable("The means over seeds", error, directory) from error
    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    server = program.TensorBoard()
    given = ["--logdir", str(directory), "--host", options.host]
    server.configure(argv=["tensorboard", *given, *(() if options.port is None else ("--port", str(options.port)))])
    messages = io.StringIO()
    try:
        with contextlib.redirect_stderr(messages):  # notes on how it loads its data, or why it cannot start
            address = server.launch()
    except (program.TensorBoardServerException, SystemExit) as error:
        reason = error.msg if isinstance(error, program.TensorBoardServerException) else messages.getvalue()
        raise UserError(
            f"TensorBoard cannot be started: {reason.strip().splitlines()[-1] if reason.strip() else error}.",
            key="--port" if options.port else "--host",
            value=str(options.port or options.host),
            remedy="choose another",
        ) from None
    console.print(f"{len(made)} experiments as means over seeds, in {relative(directory)}/{FOLDER}", markup=False)
    console.print(f"TensorBoard is at {address}{_view(has_means=bool(made))} (Ctrl-C ends it)", markup=False)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        console.print("ended")
    return 0


def _view(*, has_means: bool) -> str:
    """Return the part of the address that shows the return first, and only means until its filter is cleared."""
    shown = {
        "pinnedCards": json.dumps([{"plugin": "scalars", "tag": EPISODE_RETURN}], separators=(",", ":")),
        "runColorGroup": f"regex:{BY_CELL}",
    }
    if has_means:
        shown["runFilter"] = f"^{FOLDER}/"
    return f"?{urlencode(shown)}#timeseries"
