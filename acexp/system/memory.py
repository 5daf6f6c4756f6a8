"""Settings of the C library's memory allocator."""

from __future__ import annotations

import contextlib
import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_BLOCK = 1 << 30


def keep_large_blocks() -> None:
    """Let glibc keep freed blocks of more than 32 MB for reuse; other C libraries are left alone.

    By default glibc returns each of them to the operating system, which clears it page by page at the next use. That
    takes a population of convolutional networks a sixth of its time (docs/performance.md).
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGEST_BLOCK)
        library.mallopt(_M_TRIM_THRESHOLD, _LARGEST_BLOCK)
