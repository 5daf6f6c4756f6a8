"""How the process keeps memory."""

from __future__ import annotations

import contextlib
import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_BLOCK = 1 << 30


def keep_large_blocks() -> None:
    """Let glibc keep blocks of more than 32 MB for the next use; other C libraries decide for themselves.

    It would give each back to the system when it is freed and have it cleared again page by page, which takes a
    population of convolutional networks a sixth of its time (docs/performance.md).
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGEST_BLOCK)
        library.mallopt(_M_TRIM_THRESHOLD, _LARGEST_BLOCK)
