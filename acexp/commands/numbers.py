"""Numbers on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def at_least_one(what: str) -> Callable[[str], int]:
    """For argparse: how many of something, 1 or more."""

    def number(text: str) -> int:
        n = int(text)
        if n < 1:
            raise argparse.ArgumentTypeError(f"at least one {what} is needed")
        return n

    return number
