"""Products with a K that lies in one piece, each one compiled call."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernelfit.cpu import few_columns
from kernelfit.cpu.addresses import hold, rows_in
from kernelfit.cpu.compiled_blas import multiply, routines
from kernelfit.cpu.jit import njit
from kernelfit.typing import Float


def formed_product(gram: Float, vectors: Float) -> tuple[Float, Float, Float]:
    """K V, sum_j |K_ij| and |K| |V| of K (n, n) and V (n, c), C-ordered float64; K is overwritten by |K|."""
    made, sums = np.empty((2, *vectors.shape)), np.empty(len(gram))
    width = 2 * vectors.shape[1] + 1
    if width <= few_columns.MAX_COLUMNS:
        _multiply_few(gram, vectors, made, sums, few_columns.space((len(gram), width), gram.dtype))
    else:
        _multiply(routines().gemm, gram, vectors, made, sums)
    return made[0], sums, made[1]


@njit(cache=True, nogil=True, error_model="numpy")
def _multiply_few(gram: Any, vectors: Any, made: Any, sums: Any, packed: int) -> None:
    """All in one pass over a K without negative entries, else in two."""
    n, c = vectors.shape
    factors, added = np.empty((n, 2 * c + 1)), np.zeros((n, 2 * c + 1))
    for i in range(n):
        for k in range(c):
            factors[i, k], factors[i, c + 1 + k] = vectors[i, k], abs(vectors[i, k])
        factors[i, c] = 1.0
    matrix, (x, line), y = rows_in(gram), rows_in(factors), rows_in(added)[0]
    no = n - n  # no literal: products are compiled once for all who call them
    none = (no, no, no, no)
    if any_negative(gram):
        few_columns.add_compiled(1.0, matrix, (x, line, y, line), none, (n, n, c), packed)
        for i in range(n):
            _made_absolute(gram[i])
        x, y, rest = x + c * 8, y + c * 8, c + 1
    else:
        rest = line
    few_columns.add_compiled(1.0, matrix, (x, line, y, line), none, (n, n, rest), packed)
    hold((factors, added))
    for i in range(n):
        for k in range(c):
            made[0, i, k], made[1, i, k] = added[i, k], added[i, c + 1 + k]
        sums[i] = added[i, c]


@njit(cache=True, nogil=True, error_model="numpy")
def _multiply(gemm: int, gram: Any, vectors: Any, made: Any, sums: Any) -> None:
    multiply(gemm, gram, vectors, made[0])
    for i in range(len(gram)):
        sums[i] = _made_absolute(gram[i])
    multiply(gemm, gram, np.abs(vectors), made[1])


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc"})
def _made_absolute(row: Any) -> float:
    """row <- |row|, and the sum, added up in lanes: in one sum each addition waits for the one before."""
    total = 0.0
    for j in range(len(row)):
        size = abs(row[j])
        row[j] = size
        total += size
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def any_negative(tile: Any) -> bool:
    """Whether an entry is below 0."""
    for i in range(tile.shape[0]):
        negative = 0
        for j in range(tile.shape[1]):  # without a branch: vectorised
            negative += tile[i, j] < 0.0
        if negative:
            return True
    return False
