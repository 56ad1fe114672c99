"""Rows that are equal: by a 64-bit hash of each, and by their bytes where hashes agree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.jit import njit

# Rows that are brought to words of 8 bytes at a time.
_ROWS = 1_024
# Hashes that are compared in pairs sooner than they are sorted.
_FEW = 256
# The odd multiplier of Knuth's MMIX generator.
_MULTIPLIER = np.uint64(6_364_136_223_846_793_005)


def equal_rows(values: NDArray[Any]) -> tuple[tuple[int, ...], ...]:
    """Groups of equal rows of (n, d) numbers, each ascending, in the order of their first rows; 0.0 equals -0.0."""
    hashes = np.empty(len(values), np.uint64)
    for start, words in _words(values):
        if not _hash(words, hashes[start : start + len(words)]) and len(words) == len(values):
            return ()
    order = np.argsort(hashes, kind="stable")
    repeated = hashes[order][1:] == hashes[order][:-1]
    marked = np.zeros(len(values), dtype=bool)
    marked[order[1:][repeated]] = marked[order[:-1][repeated]] = True
    seen: dict[bytes, list[int]] = {}
    for row in np.flatnonzero(marked):
        seen.setdefault(_plain(values[row]).tobytes(), []).append(int(row))
    return tuple(tuple(group) for group in seen.values() if len(group) > 1)


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """The same with 0.0 for -0.0, which has other bytes."""
    return values + values.dtype.type(0) if values.dtype.kind == "f" else values


def _words(values: NDArray[Any]) -> Iterator[tuple[int, NDArray[np.uint64]]]:
    """Start of some rows, and these as words (h, d') of 8 bytes, zeros behind their ends."""
    width = values.shape[1] * values.dtype.itemsize
    whole = width % 8 == 0
    if whole and values.dtype.kind != "f" and len(values) <= _ROWS:
        yield 0, np.ascontiguousarray(values).view(np.uint64)
        return
    padded = np.zeros((0 if whole else _ROWS, -(-width // 8) * 8), np.uint8)
    for start in range(0, len(values), _ROWS):
        block = np.ascontiguousarray(_plain(values[start : start + _ROWS]))
        if not whole:
            padded[: len(block), :width] = block.view(np.uint8).reshape(len(block), width)
            block = padded[: len(block)]
        yield start, block.view(np.uint64).reshape(len(block), -1)


@njit(cache=True, nogil=True)
def _hash(words: Any, out: Any) -> bool:
    """The hashes of rows of words, and whether two of them are equal, or may be where they are many."""
    n = words.shape[0]
    whole = n if n >= 8 else 0
    for first in range(0, whole, 8):  # every product waits for the one before: eight rows wait together
        i = min(first, n - 8)  # of the last eight some are hashed again
        a, b, c, d = np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0)
        e, f, g, h = np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0)
        for k in range(words.shape[1]):
            a, b = _stirred(a, words[i, k]), _stirred(b, words[i + 1, k])
            c, d = _stirred(c, words[i + 2, k]), _stirred(d, words[i + 3, k])
            e, f = _stirred(e, words[i + 4, k]), _stirred(f, words[i + 5, k])
            g, h = _stirred(g, words[i + 6, k]), _stirred(h, words[i + 7, k])
        out[i], out[i + 1], out[i + 2], out[i + 3] = a, b, c, d
        out[i + 4], out[i + 5], out[i + 6], out[i + 7] = e, f, g, h
    for i in range(whole, n):
        a = np.uint64(0)
        for k in range(words.shape[1]):
            a = _stirred(a, words[i, k])
        out[i] = a
    return n > _FEW or _any_equal(out)


@njit(cache=True, nogil=True)
def _stirred(value: Any, word: Any) -> Any:
    """The hash of words up to this one."""
    value = (value ^ word) * _MULTIPLIER
    return value ^ (value >> np.uint64(32))


@njit(cache=True, nogil=True)
def _any_equal(hashes: Any) -> bool:
    """Whether two are."""
    equal = 0
    for i in range(len(hashes)):
        for k in range(i):  # without a branch: vectorised
            equal += hashes[i] == hashes[k]
    return equal > 0
