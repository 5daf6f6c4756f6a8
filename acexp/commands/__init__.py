"""Layer 6: the commands. Each parses its arguments, calls one thing below, and prints."""

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
"""What a first argument can name; anything else is training."""

__all__ = ["COMMANDS", "train"]
