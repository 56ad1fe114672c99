"""Freed blocks of memory stay with the process, for code that asks for the same large blocks again and again.

glibc gives a block above 128 KiB to 32 MiB back to the system when it is freed, and the next one of its size is mapped
and cleared page by page. A training step on the CPU asks for dozens of them.
Source: mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
_LARGE = 2**30


@contextlib.contextmanager
def kept() -> Iterator[bool]:
    """Within the block, freed blocks of up to 1 GiB serve the next ones; they go back to the system at its end.

    glibc cannot be asked for its thresholds, so that later blocks of the process are kept as well. Gives False, and
    does nothing, where the C library is another one (macOS, musl).
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt") or not hasattr(library, "malloc_trim"):
        yield False
        return
    library.mallopt(_MMAP_THRESHOLD, _LARGE)
    library.mallopt(_TRIM_THRESHOLD, _LARGE)
    try:
        yield True
    finally:
        library.malloc_trim(0)
