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

    def about(self, centre: int, d: int) -> tuple[Float, Float]:
        """sum_k (v_k - c) and sum_k (v_k - c)^2 of rows of d numbers, (n,) each."""
        return (
            (self.sums - centre * d).astype(np.float64),
            (self.squares - 2 * centre * self.sums + d * centre**2).astype(np.float64),
        )


def row_sums(values: NDArray[Any]) -> RowSums:
    """Of uint8 or int16 values (n, d), C-ordered, that are not empty."""
    sums, squares = np.empty((2, len(values)), np.int64)
    low, high = _add_up(values, sums, squares)
    return RowSums(low, high, sums, squares)


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
