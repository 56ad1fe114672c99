"""For every row of K the rows before it that are nearest, by one pass over the lower triangle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.jit import njit
from kernelfit.cpu.pool import CpuBackend
from kernelfit.cpu.tile_products import WIDTH
from kernelfit.iterative.vectors import chunks_of
from kernelfit.typing import Float

# Entries of a row that are looked at together: few of them hold one that is nearer than those that are there.
_TOGETHER = 64


def nearest_before(
    line: Callable[[int, CpuBackend], Iterator[NDArray[Any]]],
    weights: Float,
    count: int,
    backend: CpuBackend,
) -> NDArray[np.int32]:
    """For each row i the `count` rows j < i of the largest |K_ij| w_j, (n, count), i where there is none.

    `line(i, backend)` gives the tiles of rows i WIDTH to (i + 1) WIDTH, those of columns 0, WIDTH, ... in turn. Rows of
    weight 0 have no neighbours and are nobody's. n^2 / 2 entries.
    """
    n = len(weights)
    index = np.repeat(np.arange(n, dtype=np.int32)[:, None], count, axis=1)
    values = np.zeros((n, count), np.float32)
    single = weights.astype(np.float32)

    def search(i: int) -> None:
        start, stop = i * WIDTH, min(n, (i + 1) * WIDTH)
        for q, tile in enumerate(line(i, backend)):
            _search(tile, start, q * WIDTH, single, values[start:stop], index[start:stop])

    # The longest first, so that threads end together.
    backend.run(search, range(chunks_of(n))[::-1], float(n) * n)
    return index


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"nnan", "nsz"})
def _search(tile: Any, start: int, first: int, weights: Any, values: Any, index: Any) -> None:
    """Rows from `start` on, columns from `first` on; `values` of each row ascend."""
    for a in range(len(values)):
        row = start + a
        if weights[row] == 0:
            continue
        stop = min(tile.shape[1], row - first)
        for left in range(0, stop, _TOGETHER):
            right = min(left + _TOGETHER, stop)
            largest = np.float32(0.0)
            for b in range(left, right):
                largest = max(largest, abs(np.float32(tile[a, b])) * weights[first + b])
            if largest <= values[a, 0]:
                continue
            for b in range(left, right):
                value = abs(np.float32(tile[a, b])) * weights[first + b]
                if value > values[a, 0]:
                    slot = 0
                    while slot + 1 < values.shape[1] and values[a, slot + 1] < value:
                        values[a, slot] = values[a, slot + 1]
                        index[a, slot] = index[a, slot + 1]
                        slot += 1
                    values[a, slot] = value
                    index[a, slot] = first + b
