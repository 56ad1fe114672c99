"""K that is one tile: its factor, solves with it and products with K, each one compiled call.

What `kernelfit.linalg.cholesky`, `triangular` and `product` do with panels, with the same bits of L and of solutions;
up to some hundred rows their jobs, strips and calls of NumPy take longer than the arithmetic.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from kernelfit.cpu import cholesky_block
from kernelfit.cpu.compiled_blas import multiply, routines, solve_left_lower
from kernelfit.cpu.jit import njit
from kernelfit.linalg.cholesky import Pivots, failed_pivot, weak_threshold
from kernelfit.linalg.product import Product
from kernelfit.typing import Float

#: right-hand sides of a call; more are cut up elsewhere, with other bits
MAX_COLUMNS = 128


def factor(gram: Float, diagonal: Float, shift: float | Float, out: Float) -> Pivots:
    """out <- L with K + shift I = L L^T, or K + diag(shift), zeros above the diagonal; all C-ordered float64.

    Raises `NotPositiveDefiniteError`.
    """
    started = time.perf_counter()
    np.copyto(out, gram)
    out.reshape(-1)[:: len(out) + 1] += shift
    info, pivot = cholesky_block.factor(out)
    if info:
        raise failed_pivot(info - 1, pivot)
    pivots = Pivots()
    pivots.add(np.diagonal(out), 0, weak_threshold(diagonal, len(out), out.dtype))
    pivots.seconds_factor = time.perf_counter() - started
    return pivots


def solve(lower: Float, rhs: Float) -> Float:
    """(L L^T)^-1 B (n, c), c <= `MAX_COLUMNS`."""
    block = np.array(rhs, order="C")
    _solve(routines().trsm, lower, block)
    return block


def product(gram: Float, vectors: Float) -> Product:
    """K V, sum_j |K_ij| and |K| |V|; K is overwritten by |K|."""
    made = np.empty((2, *vectors.shape))
    sums = np.empty(len(gram))
    _product(routines().gemm, gram, vectors, made, sums)
    return Product(made[0], sums, made[1])


@njit(cache=True, nogil=True, error_model="numpy")
def _solve(trsm: int, lower: Any, block: Any) -> None:
    solve_left_lower(trsm, lower, block, False)
    solve_left_lower(trsm, lower, block, True)


@njit(cache=True, nogil=True, error_model="numpy")
def _product(gemm: int, gram: Any, vectors: Any, made: Any, sums: Any) -> None:
    multiply(gemm, gram, vectors, made[0])
    for i in range(len(gram)):
        total = 0.0
        for j in range(gram.shape[1]):
            gram[i, j] = abs(gram[i, j])
            total += gram[i, j]
        sums[i] = total
    multiply(gemm, gram, np.abs(vectors), made[1])
