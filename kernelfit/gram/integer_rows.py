"""What tiles know of rows of small integers, exactly and in one pass over them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.jit import njit
from kernelfit.typing import Float


class RowSums(NamedTuple):
    """Of integers v (n, d): the least, the largest, and of each row sum_k v_k and sum_k v_k^2 (n,)."""

    low: int
    high: int
    sums: NDArray[np.int64]
    squares: NDArray[np.int64]


class Described(NamedTuple):
    """Of rows v of d integers, x = scale v, (n,) each.

    sq_norms : |v - c|^2
    offsets : c sum_k (v_k - c) + c^2 d / 2, with <v, v'> = <v - c, v' - c> + o + o'
    origin : |v|^2
    lengths, domain : |x| and |x|^2
    ones : 1
    """

    sq_norms: Float
    offsets: Float
    origin: Float
    lengths: Float
    domain: Float
    ones: Float


def row_sums(values: NDArray[Any]) -> RowSums:
    """Of uint8 or int16 values (n, d), C-ordered, that are not empty."""
    sums, squares = np.empty((2, len(values)), np.int64)
    low, high = _add_up(values, sums, squares)
    return RowSums(low, high, sums, squares)


def describe(known: RowSums, centre: int, d: int, scale: float) -> Described:
    """All of it from the sums; what overflows is infinite."""
    lines = np.empty((6, len(known.sums)))
    _describe(known.sums, known.squares, centre, d, scale, lines)
    return Described(*lines)


@njit(cache=True, nogil=True, error_model="numpy")
def _describe(sums: Any, squares: Any, centre: int, d: int, scale: float, lines: Any) -> None:
    for i in range(len(sums)):
        total = np.float64(sums[i] - centre * d)
        square = np.float64(squares[i] - 2 * centre * sums[i] + d * centre * centre)
        offset = centre * total + 0.5 * centre * centre * d
        lines[0, i], lines[1, i] = square, offset
        lines[2, i] = square + 2.0 * offset
        lines[3, i] = np.sqrt(lines[2, i]) * scale
        lines[4, i] = lines[2, i] * (scale * scale)
        lines[5, i] = 1.0


@njit(cache=True, nogil=True)
def _add_up(values: Any, sums: Any, squares: Any) -> tuple[Any, Any]:
    low, high = np.int64(values[0, 0]), np.int64(values[0, 0])
    for i in range(values.shape[0]):
        total, square = np.int64(0), np.int64(0)
        for k in range(values.shape[1]):
            value = np.int64(values[i, k])
            total += value
            square += value * value
            low, high = min(low, value), max(high, value)
        sums[i], squares[i] = total, square
    return low, high
