"""What a run that was asked to stop waits for, in words: what it does may take long, or never end."""

from __future__ import annotations

from types import FrameType

from acexp.system.user_code import is_users, short_path

_ACTIVITIES = {
    "acexp.runs.checkpointer": "writing its checkpoint",
    "acexp.runs.evaluation": "playing the episodes of an evaluation",
    "acexp.engines": "stepping its environments",
}
"""What a run does, by the module or package at work; the first that is at work counts."""

_UPDATE = "computing the update"


def stopping_line(frame: FrameType | None, saved_step: int) -> str:
    """Return the line for a run that was asked to stop in this frame; `saved_step` is 0 if it was never saved."""
    modules, code = _at_work(frame)
    activity = next((words for name, words in _ACTIVITIES.items() if _is_within(name, modules)), _UPDATE)
    lost = f"what was trained after env step {saved_step:,}" if saved_step else "all of its training"
    place = "" if code is None else f" ({code})"
    return (
        f"acexp: stopping: the run will be saved and end after this update. Now it is {activity}{place}. "
        f"A second Ctrl-C ends it at once, and {lost} is lost."
    )


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
