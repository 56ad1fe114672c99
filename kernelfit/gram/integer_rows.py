"""What tiles know of rows of small integers, exactly and in one pass over them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.jit import njit
from kernelfit.typing import Float


class IntegerRows(NamedTuple):
    """Of rows v of d integers, x = scale v; (n,) each but for the first four.

    low, high : the least and the largest v_k
    centre : c, what is subtracted before products
    longest : the largest |x|; what overflows is infinite
    sq_norms : |v - c|^2
    offsets : c sum_k (v_k - c) + c^2 d / 2, with <v, v'> = <v - c, v' - c> + o + o'
    origin : |v|^2
    lengths, domain : |x| and |x|^2
    ones : 1
    """

    low: int
    high: int
    centre: int
    longest: float
    sq_norms: Float
    offsets: Float
    origin: Float
    lengths: Float
    domain: Float
    ones: Float


def describe(values: NDArray[Any], scale: float, centre: int | None = None) -> IntegerRows:
    """Of uint8 or int16 values (n, d), C-ordered, that are not empty; by default the centre is that of their range."""
    lines = np.empty((6, len(values)))
    numbers = _describe(values, scale, 0 if centre is None else centre, centre is None, lines)
    return IntegerRows(*numbers, *lines)


@njit(cache=True, nogil=True, error_model="numpy")
def _describe(
    values: Any, scale: float, centre: int, choose: bool, lines: Any
) -> tuple[int, int, int, float]:
    n, d = values.shape
    sums, squares = np.empty(n, np.int64), np.empty(n, np.int64)
    low, high = _add_up(values, sums, squares)
    if choose:
        centre = (low + high + 1) // 2
    longest = 0.0
    for i in range(n):
        total = np.float64(sums[i] - centre * d)
        square = np.float64(squares[i] - 2 * centre * sums[i] + d * centre * centre)
        offset = centre * total + 0.5 * centre * centre * d
        lines[0, i], lines[1, i] = square, offset
        lines[2, i] = square + 2.0 * offset
        lines[3, i] = np.sqrt(lines[2, i]) * scale
        lines[4, i] = lines[2, i] * (scale * scale)
        lines[5, i] = 1.0
        longest = max(longest, lines[3, i])
    return low, high, centre, longest


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
