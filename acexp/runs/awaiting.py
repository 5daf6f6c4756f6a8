"""What a run that was asked to stop waits for, in words: what it does may take long, or never end."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import FrameType

from acexp.core.stopping import ShouldStop
from acexp.system.user_code import is_users, short_path

PATIENCE_SECONDS = 3.0

_EVALUATION = "acexp.runs.evaluation"
_ACTIVITIES = {
    "acexp.runs.checkpointer": "writing its checkpoint",
    _EVALUATION: "playing the episodes of an evaluation",
    "acexp.engines": "stepping its environments",
}
"""What a run does, by the module or package at work; the first that is at work counts."""

_UPDATE = "computing the update"


class Patience:
    """Asks whether to stop, as ShouldStop does, and prints a line once it has done so for PATIENCE_SECONDS.

    Args:
        should_stop: Says whether to stop.
        say: Prints a line.
        line: What takes long.
    """

    def __init__(self, should_stop: ShouldStop, say: Callable[[str], None], line: str) -> None:
        self._should_stop, self._say, self._line = should_stop, say, line
        self._say_at = time.monotonic() + PATIENCE_SECONDS

    def __call__(self) -> bool:
        """Return True once the work should be left."""
        if time.monotonic() >= self._say_at:
            self._say_at = float("inf")
            self._say(self._line)
        return self._should_stop()


def stopping_line(frame: FrameType | None, saved_step: int, *, can_leave_rollout: bool = False) -> str:
    """Return the line for a run that was asked to stop in this frame; `saved_step` is 0 if it was never saved."""
    modules, code = _at_work(frame)
    name = next((name for name in _ACTIVITIES if _is_within(name, modules)), None)
    activity = _UPDATE if name is None else _ACTIVITIES[name]
    place = "" if code is None else f" ({code})"
    if name == _EVALUATION:
        when, lost = "has been saved and ends after this step", "only this evaluation is lost, until the run is resumed"
    else:
        when = "will be saved and end after this " + ("step of its environments" if can_leave_rollout else "update")
        trained = f"what was trained after env step {saved_step:,}" if saved_step else "all of its training"
        lost = f"{trained} is lost"
    return f"acexp: stopping: the run {when}. Now it is {activity}{place}. A second Ctrl-C ends it at once, and {lost}."


def _is_within(name: str, modules: list[str]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for module in modules)


def _at_work(frame: FrameType | None) -> tuple[list[str], str | None]:
    """Return the modules of a frame and its callers, and the file and line of the user's own code if that runs."""
    modules: list[str] = []
    code = None
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        is_inside = not any(name.startswith("acexp.") for name in modules)
        if code is None and is_inside and is_users(frame.f_code.co_filename):
            code = f"{short_path(frame.f_code.co_filename)}, line {frame.f_lineno}"
        modules.append(module)
        frame = frame.f_back
    return modules, code
