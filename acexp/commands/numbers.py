"""Conversion of command-line arguments to numbers."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def at_least_one(what: str) -> Callable[[str], int]:
    """Return a type for argparse: a whole number of at least 1; `what` names the thing that is counted."""

    def number(text: str) -> int:
        n = int(text)
        if n < 1:
            raise argparse.ArgumentTypeError(f"at least one {what} is needed")
        return n

    return number
