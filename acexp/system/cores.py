"""How many cores there are to use, and how many torch takes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def available_cores() -> int:
    """Those that this process may run on, which a container or a scheduler can have made fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def torch_threads(n: int) -> Iterator[None]:
    """Have torch compute with so many threads meanwhile.

    More of them than small matrices need is worse than waste: where something else wants the cores, they wait for each
    other at the end of every product.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
