"""How many cores there are to use."""

from __future__ import annotations

import os


def available_cores() -> int:
    """Those that this process may run on, which a container or a scheduler can have made fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
