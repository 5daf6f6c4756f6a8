"""How long work inside an update is left when the process has been asked to stop."""

from __future__ import annotations

from collections.abc import Callable

ShouldStop = Callable[[], bool]
"""Returns True once the work should be left. It is called before every step of an environment, and has to be fast."""


class StopRequestedError(Exception):
    """Raised where work is left because ShouldStop returned True."""


def never() -> bool:
    """Return False: nobody can ask to stop."""
    return False
