"""Python's warnings, most of which come from libraries and mean nothing to acexp's users."""

from __future__ import annotations

import sys
import warnings


def quiet_warnings() -> None:
    """Ignore warnings unless Python was started with filters of its own; none of them may turn warnings into errors.

    Libraries warn while they are imported, where an error breaks them: Box2D ends the process with SIGSEGV.
    """
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    elif any(option.startswith("e") for option in sys.warnoptions):
        warnings.simplefilter("default")
