"""The commands of `acexp`, each of which parses its arguments, calls one function and prints the result."""

from collections.abc import Callable

from acexp.commands.dashboard import dashboard
from acexp.commands.doctor import doctor
from acexp.commands.evaluate import evaluate
from acexp.commands.export import export
from acexp.commands.inspect import inspect
from acexp.commands.list_choices import list_choices
from acexp.commands.report import report
from acexp.commands.resume import resume
from acexp.commands.status import status
from acexp.commands.train import train
from acexp.commands.video import video

COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "dashboard": dashboard,
    "doctor": doctor,
    "eval": evaluate,
    "export": export,
    "inspect": inspect,
    "list": list_choices,
    "report": report,
    "resume": resume,
    "status": status,
    "video": video,
}
"""The commands by the first argument that names them; any other first argument means training."""

__all__ = ["COMMANDS", "train"]
