"""Distances, inner products and angles of the pairs of a tile, from products and from the rows themselves.

|x|^2 + |x'|^2 - 2 <x, x'> rounds to units of |x|^2 + |x'|^2, of which a short distance may be a small part; sum_k
(x_k - x'_k)^2 rounds to units of itself, as long as nothing was rounded before it is subtracted. Kernels that are not
smooth at zero feel it: Matern 1/2 takes the root. So pairs that lie close together are formed from differences of the
rows as they came. An angle from its cosine has half of the digits near 0 and pi; there it is formed from what one row
leaves of the other. No number stays none: of max(a, b) and min(a, b) the first is given where either is NaN.
"""

from __future__ import annotations

import math
from typing import Any

from kernelfit.cpu.jit import njit
from kernelfit.kernels.elementary import fused

#: A pair is close where |x - x'|^2 is below this part of |x|^2 + |x'|^2.
CLOSE = 1 / 64
#: A pair is parallel, or opposite, where tan^2 of half its angle, or the inverse, is below this.
PARALLEL = 1 / 128
#: Below d times this a sine is the round-off of two projections, 16 u^2: the rows are multiples of each other.
PARALLEL_SINE = 16.0 * 2.0**-106
#: where no row is a column itself, of tiles of less than 2^60 rows
APART = -(2**60)
# Columns of coordinates visited at a time, so that a block of rows and of columns stays in the first-level cache.
_FEATURES = 256


@njit(cache=True, nogil=True, error_model="numpy")
def sq_distances(dot: Any, sq_rows: Any, sq_cols: Any, unit: float, out: Any, own: int) -> None:
    """out_ij <- unit (sq_i + sq_j - 2 dot_ij); rounding may carry it below zero, where it is clamped.

    Row i is column `own` + i itself, where there is one: its distance is 0.
    """
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = unit * max(sq_rows[i] + sq_cols[j] - 2.0 * dot[i, j], 0.0)
        if 0 <= own + i < out.shape[1]:
            out[i, own + i] = 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def any_close(sq_rows: Any, sq_cols: Any, sq_distances: Any, own: int) -> bool:
    """Whether a pair is close, rows and themselves aside."""
    for i in range(sq_distances.shape[0]):  # noqa: SIM110 - Numba compiles no generator
        if _close_in(sq_rows[i], sq_cols, sq_distances[i], own + i):
            return True
    return False


@njit(cache=True, nogil=True, error_model="numpy")
def _is_close(sq_distance: float, sq_norms: float) -> bool:
    """Whether a pair is close, or its distance no number: squares of new rows far beyond tiny training rows overflow,
    and infinite ones leave none."""
    return not sq_distance >= CLOSE * sq_norms


@njit(cache=True, nogil=True, error_model="numpy")
def _close_in(sq_row: float, sq_cols: Any, sq_distances: Any, own: int) -> int:
    close = 0
    for j in range(len(sq_distances)):  # without a branch: vectorised
        close += _is_close(sq_distances[j], sq_row + sq_cols[j])
    if 0 <= own < len(sq_distances):
        close -= _is_close(sq_distances[own], sq_row + sq_cols[own])
    return close


@njit(cache=True, nogil=True, error_model="numpy")
def correct_close(
    sq_rows: Any, sq_cols: Any, rows: Any, columns: Any, inverse: float, out: Any, own: int
) -> None:
    """Form |x_i - x_j|^2 inverse^2 anew, in `out` (h, w), for the close pairs of rows (h, d) and columns (w, d)."""
    for i in range(out.shape[0]):
        if not _close_in(sq_rows[i], sq_cols, out[i], own + i):
            continue
        for j in range(out.shape[1]):
            if _is_close(out[i, j], sq_rows[i] + sq_cols[j]):
                out[i, j] = _sq_distance(rows, i, columns, j, inverse)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _sq_distance(rows: Any, i: int, columns: Any, j: int, inverse: float) -> float:
    total = 0.0
    for k in range(rows.shape[1]):
        difference = (rows[i, k] - columns[j, k]) * inverse
        total += difference * difference
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def inner_products(dot: Any, rows: Any, columns: Any, factor: float, out: Any) -> None:
    """out_ij <- factor (dot_ij + o_i + o_j) p_i p_j; rows and columns are `RowVectors`."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            inner = dot[i, j] + rows.offsets[i] + columns.offsets[j]
            out[i, j] = factor * inner * rows.powers[i] * columns.powers[j]


@njit(cache=True, nogil=True, error_model="numpy")
def cosines(dot: Any, rows: Any, columns: Any, out: Any) -> None:
    """out_ij <- the cosine of the angle between x_i and x_j; 0 where a row is zero."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            product = rows.origin[i] * columns.origin[j]
            inner = dot[i, j] + rows.offsets[i] + columns.offsets[j]
            cosine = 0.0 if product <= 0.0 else inner / math.sqrt(product)
            out[i, j] = cosine if not abs(cosine) > 1.0 else math.copysign(1.0, cosine)


@njit(cache=True, nogil=True, error_model="numpy")
def half_tangents(dot: Any, rows: Any, columns: Any, out: Any) -> None:
    """out_ij <- tan^2(theta_ij / 2): 0 where rows are parallel, inf where they are opposite, 1 where a row is zero, 0
    where both are: as far as a row can tell, it is parallel to itself.

    sin^2 theta = (|x|^2 |x'|^2 - <x, x'>^2) / (|x|^2 |x'|^2), the difference without rounding: exact of integers.
    """
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            inner = dot[i, j] + rows.offsets[i] + columns.offsets[j]
            product = rows.origin[i] * columns.origin[j]
            if product <= 0.0:
                out[i, j] = 0.0 if rows.origin[i] == columns.origin[j] else 1.0
            else:
                square = inner * inner
                rest = fused(rows.origin[i], columns.origin[j], -product) - fused(inner, inner, -square)
                sine = max((product - square) + rest, 0.0) / product
                cosine = min(abs(inner) / math.sqrt(product), 1.0)
                tangent = sine / ((1.0 + cosine) * (1.0 + cosine))
                out[i, j] = tangent if inner >= 0.0 else 1.0 / tangent


@njit(cache=True, nogil=True, error_model="numpy")
def any_parallel(tangents: Any) -> bool:
    """Whether a pair is parallel or opposite."""
    for i in range(tangents.shape[0]):  # noqa: SIM110
        if _parallel_in(tangents[i]):
            return True
    return False


@njit(cache=True, nogil=True, error_model="numpy")
def _parallel_in(tangents: Any) -> int:
    near = 0
    for j in range(len(tangents)):  # without a branch: vectorised
        near += (tangents[j] < PARALLEL) | (tangents[j] > 1.0 / PARALLEL)
    return near


@njit(cache=True, nogil=True, error_model="numpy")
def correct_parallel(dot: Any, rows: Any, columns: Any, left: Any, right: Any, out: Any) -> None:
    """Form `half_tangents` anew for parallel and opposite pairs of rows `left` (h, d) and columns `right` (w, d)."""
    floor = (left.shape[1] * PARALLEL_SINE) ** 2
    for i in range(out.shape[0]):
        if rows.origin[i] == 0.0 or not _parallel_in(out[i]):
            continue
        p = 1.0 / rows.powers[i]
        for j in range(out.shape[1]):
            if out[i, j] < PARALLEL or out[i, j] > 1.0 / PARALLEL:
                q = 1.0 / columns.powers[j]
                times = dot[i, j] / rows.origin[i]
                sine = _perpendicular(left, i, p, right, j, q, times, rows.origin[i]) / columns.origin[j]
                sine = 0.0 if sine <= floor else sine
                cosine = math.sqrt(max(1.0 - sine, 0.0))
                tangent = sine / ((1.0 + cosine) * (1.0 + cosine))
                out[i, j] = tangent if dot[i, j] >= 0.0 else 1.0 / tangent


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc"})
def _perpendicular(
    left: Any, i: int, p: float, right: Any, j: int, q: float, times: float, square: float
) -> float:
    """The square of what of b = q right_j is perpendicular to a = p left_i; `times` is about <a, b> / |a|^2.

    b - times a is formed with one rounding, to units of itself; what is left of a in it is taken off once more.
    """
    along = 0.0
    for k in range(left.shape[1]):
        a = p * left[i, k]
        along += fused(-times, a, q * right[j, k]) * a
    again = along / square
    total = 0.0
    for k in range(left.shape[1]):
        a = p * left[i, k]
        rest = fused(-again, a, fused(-times, a, q * right[j, k]))
        total += rest * rest
    return total


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
