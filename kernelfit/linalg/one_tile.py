"""K of up to a thousand rows, in one piece: its factor, solves with it and products with K, each one compiled call.

What `kernelfit.linalg.cholesky`, `triangular` and `product` do with panels, with the same bits of L and of solutions;
up to a thousand rows their jobs, strips and calls of NumPy take longer than the arithmetic.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from kernelfit.cpu import blas, cholesky_block, few_columns
from kernelfit.cpu.addresses import rows_in
from kernelfit.cpu.compiled_blas import routines, solve_left_lower
from kernelfit.cpu.jit import njit
from kernelfit.cpu.matrix_product import packed_block
from kernelfit.cpu.pool import CpuBackend
from kernelfit.gram.layout import ONE_TILE, PanelLayout
from kernelfit.gram.protocol import GramSource
from kernelfit.gram.source import mirror_square
from kernelfit.linalg import small_inverse
from kernelfit.linalg.cholesky import Pivots, diagonal_of, failed_pivot, form_panel, weak_part
from kernelfit.linalg.condition import BLOCK, EXACT, GAIN, ITERATIONS, begin, choose, drawn, larger, learn
from kernelfit.linalg.formed_product import formed_product
from kernelfit.linalg.product import Product
from kernelfit.typing import Float

#: order up to which a second copy of K costs less than to form it twice: 20 % of a solve at 600 rows, 12 at 1,000
MAX_ORDER = 1_024
# Right-hand sides that are solved for at once.
_COLUMNS = 128


def form(source: GramSource, layout: PanelLayout, backend: CpuBackend) -> Float:
    """K (n, n), both triangles."""
    gram = np.empty((layout.n, layout.n))
    form_panel(source, layout, 0, gram, backend)
    if not layout.small:
        mirror_square(gram)
    return gram


def factor(
    gram: Float, diagonal: Float, shift: float | Float, out: Float, backend: CpuBackend | None = None
) -> Pivots:
    """out <- L with K + shift I = L L^T, or K + diag(shift), zeros above the diagonal; all C-ordered float64.

    Raises `NotPositiveDefiniteError`.
    """
    started, n = time.perf_counter(), len(gram)
    each, weak = np.array(shift, np.float64, ndmin=1), weak_part(n, out.dtype)
    if backend is None or cholesky_block.threads_for(n, backend) == 1:
        info, pivot, told = _factor(gram, diagonal, each, weak, out, packed_block())
    else:
        _shift(gram, each, out)
        info, pivot = cholesky_block.factor(out, backend)
        told = diagonal_of(out.diagonal(), weak * np.abs(diagonal))
    if info:
        raise failed_pivot(info - 1, pivot)
    pivots = Pivots()
    pivots.learn(0, *told)
    pivots.seconds_factor = time.perf_counter() - started
    return pivots


def solves(n: int, columns: int) -> bool:
    """Whether `solve` has the bits of `kernelfit.linalg.triangular`, which cuts up more rows or columns."""
    return n <= ONE_TILE and columns <= _COLUMNS and blas.is_one_call(n, columns)


def solve(lower: Float, rhs: Float) -> Float:
    """(L L^T)^-1 B (n, c)."""
    block = np.array(rhs, order="C")
    _solve(routines().trsm, lower, block)
    return block


def solve_few(lower: Float, block: Float) -> None:
    """B <- (L L^T)^-1 B (n, c) in place, for the few columns of `kernelfit.cpu.few_columns`: beyond `ONE_TILE` rows the
    bits of `kernelfit.linalg.triangular`."""
    _solve_few(lower, block, few_columns.space(block.shape, block.dtype))


def inverse_norm(lower: Float, row: int, applied: Float | None = None) -> float:
    """|(L L^T)^-1|_1 as `kernelfit.linalg.condition` finds or estimates it; `row` is that of the least pivot, `applied`
    (L L^T)^-1 times the first block, where that is known."""
    if len(lower) <= EXACT:
        return small_inverse.inverse_norm(lower)
    packed = few_columns.space((len(lower), BLOCK), lower.dtype)
    block = drawn(len(lower), row) if applied is None else np.ascontiguousarray(applied)
    return float(_estimate(lower, block, applied is not None, packed))


def product(gram: Float, vectors: Float) -> Product:
    """K V, sum_j |K_ij| and |K| |V|; K is overwritten by |K|."""
    return Product(*formed_product(gram, vectors))


@njit(cache=True, nogil=True, error_model="numpy")
def _shift(gram: Any, shift: Any, out: Any) -> None:
    """out <- K + diag(shift); one shift stands for n equal ones."""
    for i in range(len(gram)):
        for j in range(len(gram)):
            out[i, j] = gram[i, j]
        out[i, i] += shift[i if len(shift) > 1 else 0]


@njit(cache=True, nogil=True, error_model="numpy")
def _factor(
    gram: Any, diagonal: Any, shift: Any, weak: float, out: Any, packed: Any
) -> tuple[int, float, tuple[int, float, int, float]]:
    """What `cholesky_block.factor` and `diagonal_of` give."""
    _shift(gram, shift, out)
    n = len(out)
    alone = n - n  # no literal: it is compiled once for one thread and for several
    _, info, pivot = cholesky_block.work(alone, rows_in(out), n, packed, 1.0)
    if info:
        return info, pivot, (0, 0.0, 0, 0.0)
    return 0, 0.0, diagonal_of(np.diag(out), weak * np.abs(diagonal))


@njit(cache=True, nogil=True, error_model="numpy")
def _solve(trsm: int, lower: Any, block: Any) -> None:
    for step in range(2):  # no literal: compiled once for both
        solve_left_lower(trsm, lower, block, step == 1)


@njit(cache=True, nogil=True, error_model="numpy")
def _solve_few(lower: Any, block: Any, packed: int) -> None:
    triangle, x = rows_in(lower), rows_in(block)
    for step in range(2):  # no literal, likewise
        few_columns.solve_compiled(-1.0, triangle, x, block.shape, step == 1, packed)


@njit(cache=True, nogil=True, error_model="numpy")
def _estimate(lower: Any, block: Any, solved: bool, packed: int) -> float:
    """`kernelfit.linalg.condition.inverse_norm_of`; `block` is the first, with the column of the least pivot, or
    (L L^T)^-1 times it where it is `solved` for."""
    n = len(lower)
    reached, likely, visited = np.empty(n), np.empty(n), np.zeros(n, dtype=np.bool_)
    if not solved:
        _solve_few(lower, block, packed)
    known, most = begin(block, True, reached, likely), np.inf
    for _ in range(ITERATIONS):
        applied, block = block, np.zeros((n, BLOCK))
        choose(applied, likely, visited, block)
        _solve_few(lower, block, packed)
        known, most = learn(block, known, reached)
        if not most > GAIN * known:
            break
        likely = reached
    return larger(known, most)
