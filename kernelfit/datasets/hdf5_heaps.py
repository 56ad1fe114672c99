"""Global heaps of an HDF5 file, in which words of any length lie: whether a reader comes to their end.

A heap is `GCOL`, 4 bytes, its size (8 bytes), then objects: index (2 bytes), 6 bytes, size (8 bytes), contents up to a
multiple of 8. What is free is an object of index 0, whose size counts its header. An object of no bytes at all does not
occur; libhdf5 2.0 steps over it for ever, without giving the time to anybody. Source: HDF5 File Format Specification,
III.E.
"""

from __future__ import annotations

import mmap
from pathlib import Path

from .faults import damaged

_SIGNATURE = b"GCOL"
_HEADER = 16
_WORD = 2**64


def require_ends(path: Path) -> None:
    """Raise DataError where an object of a heap of the file has no size: reading words there would never return."""
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = content.find(_SIGNATURE)
        while start >= 0:
            _walk(content, start, path)
            start = content.find(_SIGNATURE, start + 1)


def _walk(content: mmap.mmap, start: int, path: Path) -> None:
    end = min(start + _integer(content, start + 8, 8), len(content))
    at = start + _HEADER
    while at + _HEADER <= end:
        size = _integer(content, at + 8, 8)
        # As the library adds, in 64 bits.
        step = size if _integer(content, at, 2) == 0 else (_HEADER + (size + 7) // 8 * 8) % _WORD
        if step == 0:
            raise damaged(path, "a heap of words that ends", f"an object of no size at byte {at}")
        at += step


def _integer(content: mmap.mmap, at: int, length: int) -> int:
    return int.from_bytes(content[at : at + length], "little")
