"""How numbers are written."""

from __future__ import annotations

import math

NOTHING = "\N{EN DASH}"
"""Where there is no number."""


def number(x: float) -> str:
    """With four digits or so, as nobody can read more off a few seeds."""
    if not math.isfinite(x):
        return NOTHING
    size = abs(float(f"{x:.6g}"))  # 9.9999999 is a 10 that was added up
    if size >= 100 or x == 0:
        return f"{x:,.0f}"
    if size >= 10:
        return f"{x:.1f}"
    if size >= 0.1:
        return f"{x:.2f}"
    return f"{x:.3f}" if size >= 0.001 else f"{x:.1e}"
