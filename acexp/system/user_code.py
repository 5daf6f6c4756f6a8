"""Modules of the user's: imported such that their mistakes end in a message with the file and line."""

from __future__ import annotations

import importlib
import sysconfig
import traceback
from pathlib import Path
from types import TracebackType

from acexp.core.errors import UserError

_OURS = Path(__file__).resolve().parent.parent
_LIBRARIES = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib"))

LONGEST_MESSAGE = 200
"""The number of characters of an exception's message that are shown."""


def import_users(module: str, what: str, key: str) -> None:
    """Import a module that a config names; raises UserError where there is none, or where its code fails.

    Args:
        module: Name of the module.
        what: What the module is, with its name; the first words of the message.
        key: The setting that names it.
    """
    try:
        importlib.import_module(module)
    except UserError:
        raise
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            raise UserError(
                f"{what} cannot be imported, because it cannot be found.",
                key=key,
                value=module,
                remedy="start acexp in the folder that holds the module, or install its package; name it without .py",
            ) from None
        raise failed(f"{what} cannot be imported", error, key, module) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise failed(f"{what} cannot be imported", error, key, module) from error


def failed(problem: str, error: BaseException, key: str | None = None, value: object = None) -> UserError:
    """Return the UserError for what the user's own code has raised: its type, message, file and line."""
    remedy = None
    if isinstance(error, SystemExit):
        remedy = 'leave out the call: a program of its own belongs below `if __name__ == "__main__":`'
    return UserError(f"{problem}: {reason(error)}", key=key, value=value, place=place_in_code(error), remedy=remedy)


def reason(error: BaseException) -> str:
    """Return the type of an exception and the first line of its message."""
    if isinstance(error, SystemExit):
        return f"it calls sys.exit({'' if error.code is None else repr(error.code)})"
    message = error.msg if isinstance(error, SyntaxError) else message_of(error).strip().split("\n")[0]
    shown = message if len(message) <= LONGEST_MESSAGE else f"{message[: LONGEST_MESSAGE - 3]}..."
    return f"{type(error).__name__}: {shown}".removesuffix(": ")


def message_of(error: BaseException) -> str:
    """Return an exception's message as it can be printed and written; empty where the exception fails to give one."""
    try:
        text = str(error)
    except Exception:
        return ""
    # Control characters would reach the terminal, and parts of undecodable bytes cannot be encoded.
    return "".join(sign if sign.isprintable() or sign == "\n" else repr(sign)[1:-1] for sign in text)


def place_in_code(error: BaseException) -> str | None:
    """Return the file and line of an exception, the last that belong neither to acexp nor to a library."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{short_path(error.filename)}, line {error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_users(frame.filename)]
    return f"{short_path(frames[-1].filename)}, line {frames[-1].lineno}" if frames else None


def place_in_traceback(start: TracebackType) -> str:
    """Return the file and line where a traceback ends in the user's code, or else where it begins."""
    frames = traceback.extract_tb(start)
    frame = next((frame for frame in reversed(frames) if is_users(frame.filename)), frames[0])
    return f"{short_path(frame.filename)}, line {frame.lineno}"


def is_users(filename: str) -> bool:
    """Return True for a file of code that belongs neither to acexp nor to Python nor to an installed package."""
    if filename.startswith("<"):
        return False
    path = Path(filename).resolve()
    return not any(path.is_relative_to(folder) for folder in (_OURS, *_LIBRARIES))


def short_path(filename: str) -> str:
    """Return the path of a file relative to the working directory if it lies below it, else absolute."""
    path = Path(filename).resolve()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
