"""The format of numbers in reports and summaries."""

from __future__ import annotations

import math

NOTHING = "\N{EN DASH}"
"""The text that is shown where there is no number."""


def number(x: float) -> str:
    """Return a number as text with about four digits, because a few seeds do not determine more."""
    if not math.isfinite(x):
        return NOTHING
    size = abs(float(f"{x:.6g}"))  # 9.9999999 is the result of a sum that should be 10
    if size >= 100 or x == 0:
        return f"{x:,.0f}"
    if size >= 10:
        return f"{x:.1f}"
    if size >= 0.1:
        return f"{x:.2f}"
    return f"{x:.3f}" if size >= 0.001 else f"{x:.1e}"
