"""Distances and cosines of a tile, from inner products and from the rows themselves.

|x|^2 + |x'|^2 - 2 <x, x'> rounds to units of |x|^2 + |x'|^2, of which a short distance may be a small part; sum_k
(x_k - x'_k)^2 rounds to units of itself. Kernels that are not smooth at zero feel it: Matern 1/2 takes the root. So
pairs that lie close together are formed from differences.
"""

from __future__ import annotations

import math
from typing import Any

from numba import njit

#: A pair is close where |x - x'|^2 is below this part of |x|^2 + |x'|^2.
CLOSE = 1 / 64
# Columns of coordinates visited at a time, so that a block of rows and of columns stays in the first-level cache.
_FEATURES = 256


@njit(cache=True, nogil=True, error_model="numpy")
def sq_distances(dot: Any, sq_rows: Any, sq_cols: Any, unit: float, out: Any) -> None:
    """out_ij <- unit (sq_i + sq_j - 2 dot_ij); rounding may carry it below zero, where it is clamped."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = unit * max(sq_rows[i] + sq_cols[j] - 2.0 * dot[i, j], 0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def correct_close(sq_rows: Any, sq_cols: Any, rows: Any, columns: Any, out: Any) -> None:
    """Form |x_i - x_j|^2 anew, in `out` (h, w), for the close pairs of float64 rows (h, d) and columns (w, d)."""
    for i in range(out.shape[0]):
        close = 0
        for j in range(out.shape[1]):  # without a branch: vectorised
            close += out[i, j] < CLOSE * (sq_rows[i] + sq_cols[j])
        if close == 0:
            continue
        for j in range(out.shape[1]):
            if out[i, j] < CLOSE * (sq_rows[i] + sq_cols[j]):
                out[i, j] = _sq_distance(rows, i, columns, j)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _sq_distance(rows: Any, i: int, columns: Any, j: int) -> float:
    total = 0.0
    for k in range(rows.shape[1]):
        difference = rows[i, k] - columns[j, k]
        total += difference * difference
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def inner_products(dot: Any, offset_rows: Any, offset_cols: Any, unit: float, out: Any) -> None:
    """out_ij <- unit (dot_ij + o_i + o_j)."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = unit * (dot[i, j] + offset_rows[i] + offset_cols[j])


@njit(cache=True, nogil=True, error_model="numpy")
def cosines(inner: Any, origin_rows: Any, origin_cols: Any) -> None:
    """inner_ij <- inner_ij / (|x_i| |x_j|), clamped to [-1, 1]; 0 where a row is zero. `origin` holds |x|^2."""
    for i in range(inner.shape[0]):
        for j in range(inner.shape[1]):
            product = origin_rows[i] * origin_cols[j]
            if product <= 0.0:
                inner[i, j] = 0.0
            else:
                inner[i, j] = min(1.0, max(-1.0, inner[i, j] / math.sqrt(product)))


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "nsz"})
def l1_distances(rows: Any, columns: Any, out: Any) -> None:
    """out_ij <- |x_i - x_j|_1 of float64 rows (h, d) and columns (w, d)."""
    h, w, d = rows.shape[0], columns.shape[0], rows.shape[1]
    for i in range(h):
        for j in range(w):
            out[i, j] = 0.0
    for first in range(0, d, _FEATURES):
        last = min(first + _FEATURES, d)
        for j_first in range(0, w, 16):
            j_last = min(j_first + 16, w)
            for i in range(h):
                for j in range(j_first, j_last):
                    total = 0.0
                    for k in range(first, last):
                        total += abs(rows[i, k] - columns[j, k])
                    out[i, j] += total
