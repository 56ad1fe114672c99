"""Pairs of rows that lie close together: their distance again, from differences.

|x|^2 + |x'|^2 - 2 <x, x'> rounds to units of |x|^2 + |x'|^2, of which a short distance may be a small part; sum_k
(x_k - x'_k)^2 rounds to units of itself. Kernels that are not smooth at zero feel it: Matern 1/2 takes the root.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from kernelfit.kernels.base import Kernel, Tile
from kernelfit.typing import Float

#: A pair is close where |x - x'|^2 is below this part of |x|^2 + |x'|^2.
CLOSE = 1 / 64
# Pairs that are evaluated at a time, at least; their vectors stay in the cache.
_PAIRS = 8_192


class _Pairs:
    """m pairs as a tile of one row; satisfies `kernelfit.kernels.base.Tile`.

    Distances and inner products are handed over apart: <x_i, x_j> stands in the offsets, and |x_i|^2 |x_j|^2 in the
    norms of the columns.
    """

    unit = 1.0

    def __init__(self, sq_distances: Float, inner: Float, origins: Float) -> None:
        self.sq_rows, self.offset_rows, self.origin_rows = np.zeros(1), np.zeros(1), np.ones(1)
        self.sq_cols, self.offset_cols, self.origin_cols = sq_distances, inner, origins

    def dot(self) -> Float:
        return np.zeros((1, len(self.sq_cols)))

    def coordinates(self) -> tuple[Float, Float]:
        raise NotImplementedError("pairs have no block of coordinates")

    def scratch(self, name: str) -> Float:
        return np.empty((1, len(self.sq_cols)))


def correct(kernel: Kernel, tile: Tile, rows: Float, columns: Float, out: Float) -> None:
    """Evaluate k anew, in `out` (h, w), for the close pairs of a tile of float64 rows (h, d) and columns (w, d)."""
    if not (kernel.of_distances and kernel.of_inner_products):
        return
    dot = tile.dot()
    height, width = dot.shape
    left, right = (np.empty(max(_PAIRS, width), np.int64) for _ in range(2))
    row = 0
    while row < height:
        count, row = _close(dot, tile.sq_rows, tile.sq_cols, row, left, right)
        if count == 0:
            continue
        i, j = left[:count], right[:count]
        distances = np.empty(count)
        _sq_distances(rows, columns, i, j, distances)
        with np.errstate(over="ignore", invalid="ignore"):  # as in the tile itself
            inner = dot[i, j] + tile.offset_rows[i] + tile.offset_cols[j]
            origins = tile.origin_rows[i] * tile.origin_cols[j]
        values = np.empty((1, count))
        kernel.evaluate(_Pairs(distances, inner, origins), values)
        out[i, j] = values[0]


@njit(cache=True, nogil=True, error_model="numpy")
def _close(dot: Any, sq_rows: Any, sq_cols: Any, first: int, left: Any, right: Any) -> tuple[int, int]:
    """Places of close pairs from row `first` on, as many whole rows as there is room for; how many pairs, next row."""
    height, width = dot.shape
    count = 0
    for i in range(first, height):
        here = 0
        for j in range(width):  # without a branch: vectorised
            squares = sq_rows[i] + sq_cols[j]
            here += squares - 2.0 * dot[i, j] < CLOSE * squares
        if here == 0:
            continue
        if count + here > len(left):
            return count, i
        for j in range(width):
            squares = sq_rows[i] + sq_cols[j]
            if squares - 2.0 * dot[i, j] < CLOSE * squares:
                left[count] = i
                right[count] = j
                count += 1
    return count, height


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _sq_distances(rows: Any, columns: Any, left: Any, right: Any, out: Any) -> None:
    for p in range(len(left)):
        total = 0.0
        for k in range(rows.shape[1]):
            difference = rows[left[p], k] - columns[right[p], k]
            total += difference * difference
        out[p] = total
