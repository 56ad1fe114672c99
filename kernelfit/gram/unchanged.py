"""Whether an array that is the user's, and is not copied, is still what it was."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.jit import njit
from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError

# Rows that are remembered beside the checksum.
_ROWS = 64
# Bytes that one thread adds up, of which others may do the next: enough to be worth a call.
_PART = 2**22
_LANES = 8
# An odd number without a pattern: 2^64 over the golden ratio.
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_LEFT, _RIGHT = np.uint64(29), np.uint64(35)


class Witness:
    """What tells whether an array (n, ...) is as it was: a checksum of its bytes, and 64 of its rows."""

    def __init__(self, array: NDArray[Any]) -> None:
        # Of so few rows all are remembered, which takes less time than the call that adds them up.
        self._checksum = checksum(array) if len(array) > _ROWS else None
        self._index = np.unique(np.linspace(0, len(array) - 1, _ROWS).astype(np.intp))
        self._rows = array[self._index]

    def require(
        self, array: NDArray[Any], what: str, *, whole: bool = True, threads: int | None = None
    ) -> None:
        """Raise `InputError` where the array, which is `what`, was changed; not `whole`, by the 64 rows alone."""
        if whole and self._checksum is not None:
            same = checksum(array, threads) == self._checksum
        else:
            same = np.array_equal(array[self._index], self._rows)
        if not same:
            raise changed(what)


def changed(what: str) -> InputError:
    """What is raised where the user's array, which is `what`, is no longer what it was."""
    return InputError(
        f"{what} that the solution is of was changed since the solve, expected it as it was; solve again, with a copy"
    )


def checksum(array: NDArray[Any], threads: int | None = 1) -> bytes:
    """64 bytes of every 4 MiB; arrays of one shape, type and order that differ have them in common with a chance of
    2^-64.

    As fast as memory, with `threads` or those available for None: by one of them 7 ms for 63 MB (10,000 rows of 784
    float64, of which a factor takes seconds).
    """
    ordered = array.T if array.flags.f_contiguous else array
    height = max(1, _PART // max(1, ordered[:1].nbytes))
    lanes = np.zeros((-(-len(ordered) // height), _LANES), np.uint64)

    def add(k: int) -> None:
        part = np.ascontiguousarray(ordered[k * height : (k + 1) * height]).reshape(-1).view(np.uint8)
        whole = len(part) // (8 * _LANES) * (8 * _LANES)
        last = np.zeros(8 * _LANES, np.uint8)
        last[: len(part) - whole] = part[whole:]
        for words in (part[:whole].view(np.uint64), last.view(np.uint64)):
            words.flags.writeable = False  # as those of files are: compiled once for both
            _add(words, lanes[k])

    if threads == 1 or len(lanes) == 1:
        for k in range(len(lanes)):
            add(k)
    else:
        with CpuBackend(threads) as backend:
            backend.run(add, range(len(lanes)))
    return lanes.tobytes()


@njit(cache=True, nogil=True)
def _add(words: Any, lanes: Any) -> None:
    """Each step is one to one in the word and in the lane, and takes every bit of both to others."""
    for start in range(0, len(words), _LANES):
        for lane in range(_LANES):
            mixed = lanes[lane] ^ words[start + lane]
            lanes[lane] = ((mixed << _LEFT) | (mixed >> _RIGHT)) * _FACTOR
