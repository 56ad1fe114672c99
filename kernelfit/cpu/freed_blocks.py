"""Freed blocks of memory stay with the process, for code that asks for the same large blocks again and again.

glibc gives a block above 128 KiB to 32 MiB back to the system when it is freed, and the next one of its size is mapped
and cleared page by page. A training step on the CPU asks for dozens of them, a solve of 500 rows for three.
Source: mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from functools import cache

import numpy as np

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
_LARGE = 2**30
# Half of what a process keeps for its solves.
_SOME = 2**23


@contextlib.contextmanager
def kept() -> Iterator[bool]:
    """Within the block, freed blocks of up to 1 GiB serve the next ones; they go back to the system at its end.

    glibc cannot be asked for its thresholds, so that later blocks of the process are kept as well. Gives False, and
    does nothing, where the C library is another one (macOS, musl).
    """
    known = keep()
    try:
        yield known
    finally:
        give_back()


def keep() -> bool:
    """From now on freed blocks of up to 1 GiB serve the next ones; False where the C library is another one."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        return False
    library.mallopt(_MMAP_THRESHOLD, _LARGE)
    library.mallopt(_TRIM_THRESHOLD, _LARGE)
    return True


def give_back() -> None:
    """What is free goes back to the system."""
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


@cache
def keep_some() -> None:
    """Once a process: up to 16 MB of what is freed serve the next blocks.

    glibc keeps twice the largest block that was mapped and freed so far. One that nobody writes to costs two calls of
    the system, and changes nothing where thresholds were set, or where the C library is another one. Without it every
    solve of 300 to 2,000 rows has its pages made anew: a quarter of the time at 500.
    """
    np.empty(_SOME, np.uint8)
