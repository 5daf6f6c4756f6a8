"""How many CPU cores there are, and how many of them torch and NumPy use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import ThreadpoolController


def available_cores() -> int:
    """Return the number of cores that this process may run on; a container or scheduler can allow fewer than exist."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def compute_threads(n: int) -> Iterator[None]:
    """Let torch compute with `n` threads inside the block, and NumPy, which has small matrices only, with one.

    More threads than small matrices need make them slower: where other programs use the cores, the threads wait for
    each other at the end of every product. And with another number of threads, a product can round otherwise.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        with ThreadpoolController().select(internal_api="openblas").limit(limits=1):
            yield
    finally:
        torch.set_num_threads(before)
