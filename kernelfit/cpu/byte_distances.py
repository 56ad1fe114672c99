"""Exact squared distances of rows of bytes, as float32: the products of `bytes_product` with another pass of rounding.

    |x - y|^2 = (|x - c|^2 - 2 a) + (|y - c|^2 - 2 b) - 2 s

with s what the instruction adds up of x and y, and a and b what it is corrected by for either. All of it is arithmetic
modulo 2^32 and exact, as 255^2 d < 2^31 for the d that `bytes_product` takes; only the result is rounded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu import bytes_product
from kernelfit.cpu.bytes_product import HEIGHT, WIDTH, Packed
from kernelfit.cpu.jit import njit


def terms(packed: Packed, sq_norms: NDArray[np.float64]) -> NDArray[np.int32]:
    """What each row (m,) adds to a squared distance, from |x - c|^2 (m,)."""
    exact: NDArray[np.int32] = (sq_norms.astype(np.int64) - 2 * packed.added.astype(np.int64)).astype(
        np.int32
    )
    return exact


@njit(cache=True, nogil=True)
def sq_distances(rows: Any, steps: Any, columns: Any, row_terms: Any, column_terms: Any, out: Any) -> None:
    """out (h, w) float32 <- |x_i - y_j|^2 of packed rows and columns, `Packed.values` and `Packed.steps` of the one,
    `Packed.values` of the other, and `terms` of both."""
    height, width = out.shape
    numbers = steps.ctypes.data + steps.itemsize
    sums = np.empty((HEIGHT, WIDTH), np.int32)
    for right in range(-(-width // WIDTH)):
        first = right * WIDTH
        count = min(WIDTH, width - first)
        for left in range(-(-height // HEIGHT)):
            here = rows[left].ctypes.data, numbers + left * steps.strides[0], columns[right].ctypes.data
            bytes_product.micro_tile(here[0], here[1], here[2], steps[left, 0], sums.ctypes.data)
            top = left * HEIGHT
            for i in range(min(HEIGHT, height - top)):
                term = row_terms[top + i]
                for j in range(count):
                    out[top + i, first + j] = np.float32(
                        np.int32(term + column_terms[first + j] - 2 * sums[i, j])
                    )
