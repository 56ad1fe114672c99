"""M near A = K + ridge: a low rank, and a sparse inverse of what that leaves.

    M = F F^T + (G^T G)^-1,   S = A - F F^T,   G^T G near S^-1
    M^-1 = G^T (I - H C^-1 H^T) G,   H = G F,   C = I + H^T H

F comes from randomly pivoted Cholesky of K: it holds what all rows have in common (M. Diaz, E. N. Epperly, Z.
Frangella, J. A. Tropp and R. J. Webber, Robust, randomized preconditioning for kernel ridge regression, arXiv
2304.12465). G holds what neighbours have beside that, to which small eigenvalues of A belong. A low rank with a sparse
inverse of what it leaves is that of S. Zhao, T. Xu, H. Huang, E. Chow and Y. Xi, An adaptive factorized Nystrom
preconditioner for regularized kernel matrices, SIAM J. Sci. Comput. 46, 2024 (arXiv 2304.05460). 2 n r^2 flops to set
up; 4 n r c for c vectors, by which H is read twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu import blas
from kernelfit.cpu.jit import njit
from kernelfit.cpu.pool import CpuBackend
from kernelfit.cpu.tile_products import COLUMNS, ROWS, WIDTH, add_products
from kernelfit.iterative.nearest import nearest_before
from kernelfit.iterative.pivoted_cholesky import LowRank
from kernelfit.iterative.sparse_inverse import SparseInverse, sparse_inverse
from kernelfit.iterative.vectors import as_columns, as_rows, from_columns, from_rows, groups_of
from kernelfit.progress import Progress
from kernelfit.typing import Float, Span

# Neighbours of a row at least and at most, and rows for each: their squares cost as n, what they save as n^2.
_FEW, _MANY, _ROWS_OF_ONE = 16, 48, 800
# Runs of tiles, whose sums are added up in their order.
_RUNS = 24
# Rows of H^T H, or of an inverse, that a thread forms at a time; they divide WIDTH.
_STRIP = 256
# What an entry of the residual is off by at most, of the mean diagonal: F is in single precision.
_FLOOR = 1e-6
# What pivots have at least for S, of the mean of other rows.
_PIVOT = 1e-4


class Entries(Protocol):
    """Entries of K, stored or formed anew."""

    def line(self, i: int, backend: CpuBackend) -> Iterator[NDArray[Any]]:
        """The tiles 0..i of the rows i WIDTH to (i + 1) WIDTH, each until the next one is asked for."""
        ...

    def blocks(self, index: NDArray[np.int64], backend: CpuBackend) -> Float:
        """K[index[b], index[b]] (b, s, s) for index (b, s)."""
        ...


def neighbours_of(n: int) -> int:
    """How many neighbours each of n rows has."""
    return min(_MANY, max(_FEW, n // _ROWS_OF_ONE))


def residual_inverse(
    entries: Entries,
    low_rank: LowRank,
    diagonal: Float,
    ridge: float | Float,
    count: int,
    backend: CpuBackend,
) -> SparseInverse:
    """G^T G near the inverse of S = K - F F^T + ridge, for the diagonal of K (n,), a ridge that is one number or one
    for each row, and `count` neighbours of each."""
    floor = _FLOOR * float(np.abs(diagonal).mean())
    left = np.maximum(low_rank.residual + np.reshape(ridge, -1), floor)
    # What other rows have beside F is rounding, and so would be all that neighbours tell of it.
    others = low_rank.residual > floor
    # Errors of S are about that large.
    left[others] += floor
    if others.any():
        # S is the ridge there: without one M would be A in these rows and columns, but singular to rounding.
        left[low_rank.pivots] = np.maximum(left[low_rank.pivots], _PIVOT * left[others].mean())
    weights = np.zeros(len(diagonal))
    np.divide(1.0, np.sqrt(np.abs(diagonal)), out=weights, where=others)
    neighbours = nearest_before(entries.line, weights, count, backend)

    def blocks(index: NDArray[np.int64]) -> Float:
        square = entries.blocks(index, backend).astype(np.float64)
        for t in range(low_rank.tiles.shape[1]):
            rows = low_rank.part(index, t)
            square -= np.matmul(rows, rows.transpose(0, 2, 1))
        return square

    return sparse_inverse(blocks, neighbours, left, floor, backend)


class Preconditioner:
    """R -> M^-1 R (n, c), in float64 with H in float32, which takes the place of F."""

    def __init__(
        self, low_rank: LowRank, inverse: SparseInverse, backend: CpuBackend, progress: Progress
    ) -> None:
        self.rank, self.n = low_rank.rank, len(low_rank.residual)
        self._inverse, self._backend = inverse, backend
        inverse.multiply_tiles(low_rank.tiles)
        self._factor = low_rank
        self._lower = self._core(progress)

    @property
    def nbytes(self) -> int:
        return self._factor.tiles.nbytes + self._lower.nbytes + self._inverse.nbytes

    def __call__(self, residual: Float) -> Float:
        inner = self._inverse.times(residual)
        if self.rank:
            solved = self._times_transposed(inner)
            blas.solve_left_lower(self._lower, solved)
            blas.solve_left_lower(self._lower, solved, transposed=True)
            inner -= self._times(solved)
        return self._inverse.times_transposed(inner)

    @property
    def log_det(self) -> float:
        """log det M = log det C - 2 log det G."""
        return 2.0 * float(np.log(np.diagonal(self._lower)).sum() - self._inverse.log_det)

    def inverse_diagonal(self) -> Float:
        """diag(M^-1) (n,): n r^2 flops."""
        diagonal = np.empty(self.n)
        rank = self.rank

        def fill(start: int) -> None:
            stop = min(self.n, start + _STRIP)
            rows = np.zeros((rank, stop - start))
            for i in range(start, stop):
                index, values = self._inverse.column(i)
                diagonal[i] = values @ values
                rows[:, i - start] = values @ self._factor.rows(index.astype(np.int64))[:, :rank]
            blas.solve_left_lower(self._lower, rows)
            diagonal[start:stop] -= np.square(rows).sum(axis=0)

        self._backend.run(fill, range(0, self.n, _STRIP), float(self.n) * (rank + 1) ** 2)
        return diagonal

    def sample(self, random: np.random.Generator, count: int) -> Float:
        """Normal vectors of covariance M, (n, count): G^-1 (H g + h) of standard ones."""
        inner = random.standard_normal((self.rank, count))
        values = random.standard_normal((self.n, count))
        return self._inverse.solve(values + self._times(inner) if self.rank else values)

    def _core(self, progress: Progress) -> Float:
        """The Cholesky factor of C (r, r)."""
        rank, tiles = self.rank, self._factor.tiles
        core = np.zeros((rank, rank))

        with progress.phase("precondition", float(self.n) * rank * rank, "flop") as advance:

            def form(start: int) -> None:
                stop = min(start + _STRIP, rank)
                left, a = start // WIDTH, start % WIDTH
                b = a + stop - start
                for q in range(len(tiles)):
                    rows = tiles[q, left, :, a:b].astype(np.float64)
                    for t in range(left + 1):
                        first, last = t * WIDTH, min((t + 1) * WIDTH, stop)
                        columns = tiles[q, t, :, : last - first].astype(np.float64)
                        blas.gemm(1.0, rows, columns, 1.0, core[start:stop, first:last], transpose_a=True)
                advance(2.0 * self.n * (stop - start) * stop)

            starts = range(0, rank, _STRIP)
            self._backend.run(form, starts[::-1], 2.0 * self.n * rank * rank)
        core[np.diag_indices(rank)] += 1.0
        if not rank:
            return core
        from scipy.linalg import cholesky  # 20 MB that direct solves do without

        lower = cholesky(core, lower=True, overwrite_a=True, check_finite=False)
        return np.ascontiguousarray(lower)

    def _spans(self) -> list[Span]:
        chunks = len(self._factor.tiles)
        step = -(-chunks // _RUNS)
        return [(a, min(a + step, chunks)) for a in range(0, chunks, step)]

    def _times_transposed(self, vectors: Float) -> Float:
        """H^T V (rank, c)."""
        tiles, c = self._factor.tiles, vectors.shape[1]
        rows = as_rows(vectors, len(tiles) * WIDTH, np.float64)
        spans = self._spans()
        parts = np.zeros((len(spans), tiles.shape[1], *groups_of(c, np.float64), WIDTH))

        def multiply(index: int) -> None:
            first, last = spans[index]
            part = rows[:, first * WIDTH : last * WIDTH]
            _multiply(tiles[first:last], part, parts[index], part, parts[index], COLUMNS)

        self._backend.run(multiply, range(len(spans)), 2.0 * self.n * self.rank * c)
        return from_columns(parts.sum(axis=0), self.rank, c)

    def _times(self, vectors: Float) -> Float:
        """H V (n, c) for V (rank, c)."""
        tiles, c = self._factor.tiles, vectors.shape[1]
        columns = as_columns(vectors, tiles.shape[1], np.float64)
        groups, group = groups_of(c, np.float64)
        sums = np.zeros((groups, len(tiles) * WIDTH, group))

        def multiply(span: Span) -> None:
            first, last = span
            part = sums[:, first * WIDTH : last * WIDTH]
            _multiply(tiles[first:last], part, columns, part, columns, ROWS)

        self._backend.run(multiply, self._spans(), 2.0 * self.n * self.rank * c)
        return from_rows(sums, self.n, c)


@njit(cache=True, nogil=True, error_model="numpy")
def _multiply(tiles: Any, rows: Any, columns: Any, by_row: Any, by_column: Any, sides: int) -> None:
    for q in range(len(tiles)):
        a, b = q * WIDTH, (q + 1) * WIDTH
        for t in range(tiles.shape[1]):
            add_products(tiles[q, t], rows[:, a:b], columns[t], by_row[:, a:b], by_column[t], sides, 1.0)
