"""Products of a matrix with a few columns, which are bound by reading the matrix: A X and A^T X.

BLAS packs A before it multiplies, which for 4 columns writes as much as it reads: on a core of Zen 5 OpenBLAS reads 12
GB/s for A X and 6 for A^T X, this 20 for either. Rows in blocks that the second level of cache holds, columns of X four
at a time: a column's bits do not depend on those beside it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.jit import njit

#: columns beyond which BLAS is as fast
MOST = 12
#: floating point operations in the time in which a number of the matrix is read
PER_NUMBER = 40.0

# Rows of a block of A, which the second level holds.
_ROWS = 48
_GROUP = 4


def few(a: NDArray[Any], x: NDArray[Any]) -> bool:
    """Whether the products are formed here: a few columns, but more than one, for which BLAS has a routine."""
    return 1 < x.shape[1] <= MOST and a.flags.c_contiguous


def add_product(sign: float, a: NDArray[Any], x: NDArray[Any], y: NDArray[Any]) -> None:
    """Y <- Y + sign A X in place; A (m, k) C-ordered, X (k, c), Y (m, c), of one type."""
    _add_product(a.dtype.type(sign), a, _grouped(x), y)


def transposed_product(a: NDArray[Any], x: NDArray[Any]) -> NDArray[Any]:
    """A^T X as (c, k): the transposed, C-ordered; A (m, k) C-ordered, X (m, c), of one type."""
    columns = x.shape[1]
    sums = np.zeros((-(-columns // _GROUP) * _GROUP, a.shape[1]), a.dtype)
    _add_transposed(a, _grouped(x), sums)
    return sums[:columns]


def _grouped(x: NDArray[Any]) -> NDArray[Any]:
    """X^T, with lines of zeros that fill the last group."""
    lines = np.zeros((-(-x.shape[1] // _GROUP) * _GROUP, x.shape[0]), x.dtype)
    lines[: x.shape[1]] = x.T
    return lines


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _add_product(sign: Any, a: Any, x: Any, y: Any) -> None:
    rows, depth = a.shape
    columns = y.shape[1]
    zero = sign - sign
    for top in range(0, rows, _ROWS):
        for first in range(0, x.shape[0], _GROUP):
            x0, x1, x2, x3 = x[first], x[first + 1], x[first + 2], x[first + 3]
            for i in range(top, min(top + _ROWS, rows)):
                s0, s1, s2, s3 = zero, zero, zero, zero
                for j in range(depth):
                    value = a[i, j]
                    s0 += value * x0[j]
                    s1 += value * x1[j]
                    s2 += value * x2[j]
                    s3 += value * x3[j]
                y[i, first] += sign * s0
                if first + 1 < columns:
                    y[i, first + 1] += sign * s1
                if first + 2 < columns:
                    y[i, first + 2] += sign * s2
                if first + 3 < columns:
                    y[i, first + 3] += sign * s3


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _add_transposed(a: Any, x: Any, sums: Any) -> None:
    for top in range(0, len(a), _ROWS):
        block = a[top : top + _ROWS]
        for first in range(0, x.shape[0], _GROUP):
            _add_group(block, x[first : first + _GROUP, top : top + _ROWS], sums[first : first + _GROUP])


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _add_group(a: Any, x: Any, sums: Any) -> None:
    rows, width = a.shape
    for i in range(rows):
        x0, x1, x2, x3 = x[0, i], x[1, i], x[2, i], x[3, i]
        for j in range(width):
            value = a[i, j]
            sums[0, j] += value * x0
            sums[1, j] += value * x1
            sums[2, j] += value * x2
            sums[3, j] += value * x3
