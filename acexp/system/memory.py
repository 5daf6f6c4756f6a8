"""The machine's memory: settings of the C library's allocator, and its errors in words."""

from __future__ import annotations

import contextlib
import ctypes
import re
from collections.abc import Iterator

from acexp.core.errors import UserError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_BLOCK = 1 << 30
_OUT_OF_MEMORY = re.compile(
    r"allocate memory|out of memory|Unable to allocate|Storage size calculation overflowed|Overflow when unpacking"
)
_ERRORS = (MemoryError, RuntimeError, TypeError)
_SIZE = re.compile(r"allocate (\d+) bytes")


def keep_large_blocks() -> None:
    """Let glibc keep freed blocks of more than 32 MB for reuse; other C libraries are left alone.

    By default glibc returns each of them to the operating system, which clears it page by page at the next use. That
    takes a population of convolutional networks a sixth of its time (docs/performance.md).
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGEST_BLOCK)
        library.mallopt(_M_TRIM_THRESHOLD, _LARGEST_BLOCK)


def lack_of_memory(error: BaseException) -> UserError | None:
    """Return the UserError for an error of torch or NumPy that says that memory does not suffice; None for others."""
    if not isinstance(error, _ERRORS) or not _OUT_OF_MEMORY.search(str(error)):
        return None
    size = _SIZE.search(str(error))
    return UserError(
        "The run needs more memory than there is" + (f": {int(size[1]) / 1e9:,.0f} GB for one array." if size else "."),
        remedy="choose smaller networks (arch.hidden_sizes), rollouts (algo.n_envs, algo.n_steps) or observations, or "
        "fewer runs in a population (hydra.launcher.max_members)",
    )


@contextlib.contextmanager
def memory_in_words() -> Iterator[None]:
    """Raise a UserError where memory does not suffice for what is done inside the block."""
    try:
        yield
    except _ERRORS as error:
        lack = lack_of_memory(error)
        if lack is None:
            raise
        raise lack from error
