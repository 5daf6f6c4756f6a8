"""Which processor there is."""

from __future__ import annotations

import platform
from pathlib import Path


def processor(description: Path = Path("/proc/cpuinfo")) -> str:
    """Return which processor this is, by which the libraries of torch and NumPy choose how matrices are multiplied.

    Two types of processors round differently, so that the same seed gives another run. Virtual machines often hide the
    name; the numbers of its type are therefore added where Linux knows them.
    """
    try:
        lines = [line.partition(":") for line in description.read_text(errors="replace").splitlines()]
    except OSError:
        return platform.processor() or platform.machine()
    found = {key.strip(): value.strip() for key, _, value in reversed(lines)}  # of the first core
    numbers = ("cpu family", "model", "CPU implementer", "CPU part")
    return ", ".join(
        [found.get("model name") or platform.machine(), *(f"{key} {found[key]}" for key in numbers if found.get(key))]
    )
