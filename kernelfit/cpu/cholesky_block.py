"""A = L L^T of a small block in place, in one compiled call, by the micro-kernel of `kernelfit.cpu.matrix_product`.

Left-looking in columns of `_BLOCK`. Up to some 1,000 rows one core with `kernelfit.cpu.matrix_product` is faster than
LAPACK's `potrf` on two.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu import blas
from kernelfit.cpu.jit import njit
from kernelfit.cpu.matrix_product import (
    add_product_compiled,
    clear_number,
    packed_block,
    size_of,
)
from kernelfit.cpu.triangular_tiles import factor_square, solve_rows

#: columns between two products: four tiles of a float64 one
_BLOCK = 96


def factor(a: NDArray[Any]) -> tuple[int, float]:
    """A (n, n), C-ordered, <- L, zeros above its diagonal: 0, or the 1-based order of the first minor that is not
    positive, as LAPACK's `info`, and the pivot there."""
    packed = packed_block()
    info = _factor(blas.rows_of(a), len(a), packed, a.dtype.type(1))
    return info, float(
        np.ctypeslib.as_array((_NUMBER[a.dtype] * 1).from_address(packed[2]))[0]
    ) if info else 0.0


_NUMBER: dict[np.dtype[Any], Any] = {
    np.dtype(np.float64): ctypes.c_double,
    np.dtype(np.float32): ctypes.c_float,
}


@njit(cache=True, nogil=True, error_model="numpy")
def _factor(a: Any, n: int, packed: Any, one: Any) -> int:
    size = size_of(one)
    line = a[1] * size
    for start in range(0, n, _BLOCK):
        width = min(_BLOCK, n - start)
        rows = a[0] + start * line
        block = rows + start * size
        if start:
            add_product_compiled(
                -one,
                (rows, a[1], False),
                (rows, a[1], False),
                one,
                (block, a[1]),
                (n - start, width, start),
                packed,
            )
        info = factor_square((block, a[1]), width, packed, one)
        if info:
            return start + info
        for i in range(width):
            for j in range(i + 1, n - start):
                clear_number(block + i * line + j * size, one)
        below = n - start - width
        if below:
            solve_rows((block + width * line, a[1]), (below, width), packed, one)
    return 0
