"""M near A = K + ridge: exact in r rows and columns, the pivots, and sparse in the inverse of what these leave.

    M = F F^T + (G^T G)^+,   A - F F^T = S,   G^T G near S^-1,   rows of S and of G zero at pivots

With L = F[pivots], lower triangular, and r_p, r_o the parts of a residual at pivots and at other rows

    y = L^-1 r_p,   x_o = G^T G (r_o - F_o y),   x_p = L^-T (y - F_o^T x_o)

F comes from randomly pivoted Cholesky (Y. Chen, E. N. Epperly, J. A. Tropp and R. J. Webber, arXiv 2207.06503): it
holds what all rows have in common. G holds what neighbours have beside that, to which small eigenvalues of K belong. A
low rank with a sparse inverse of what it leaves: S. Zhao, T. Xu, H. Huang, E. Chow and Y. Xi, An adaptive factorized
Nystrom preconditioner for regularized kernel matrices, SIAM J. Sci. Comput. 46, 2024 (arXiv 2304.05460). n r^2 flops
for F; 4 n r c for c vectors, by which F is read twice.
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
from kernelfit.typing import Float, Span

#: neighbours of a row
NEIGHBOURS = 32
# Runs of tiles, whose sums are added up in their order.
_RUNS = 24
# What an entry of the residual is off by at most, of the mean diagonal: F is in single precision.
_FLOOR = 1e-6


class Entries(Protocol):
    """Entries of K, stored or formed anew."""

    def line(self, i: int, backend: CpuBackend) -> Iterator[NDArray[Any]]:
        """The tiles 0..i of the rows i WIDTH to (i + 1) WIDTH, each until the next one is asked for."""
        ...

    def blocks(self, index: NDArray[np.int64], backend: CpuBackend) -> Float:
        """K[index[b], index[b]] (b, s, s) for index (b, s)."""
        ...


def residual_inverse(
    entries: Entries, low_rank: LowRank, diagonal: Float, backend: CpuBackend
) -> SparseInverse:
    """G^T G near the inverse of S = A - F F^T, for the diagonal of K (n,)."""
    floor = _FLOOR * float(np.abs(diagonal).mean())
    weights = np.zeros(len(diagonal))
    left = np.maximum(low_rank.residual, floor)
    left[low_rank.pivots] = 0.0
    np.divide(1.0, np.sqrt(np.abs(diagonal)), out=weights, where=(left > 0) & (diagonal != 0))
    neighbours = nearest_before(entries.line, weights, NEIGHBOURS, backend)

    def blocks(index: NDArray[np.int64]) -> Float:
        square = entries.blocks(index, backend).astype(np.float64)
        for t in range(low_rank.tiles.shape[1]):
            rows = low_rank.tiles[index // WIDTH, t, index % WIDTH]
            square -= np.matmul(rows, rows.transpose(0, 2, 1))
        return square

    return sparse_inverse(blocks, neighbours, left, floor, backend)


class Preconditioner:
    """R -> M^-1 R (n, c), in float64 with F in float32."""

    def __init__(self, low_rank: LowRank, inverse: SparseInverse, backend: CpuBackend) -> None:
        self._factor, self._inverse, self._backend = low_rank, inverse, backend
        self.rank, self.n = low_rank.rank, len(low_rank.residual)
        square = low_rank.rows(low_rank.pivots)[:, : self.rank]
        self._lower = np.tril(square.astype(np.float64))

    @property
    def nbytes(self) -> int:
        return self._factor.tiles.nbytes + self._lower.nbytes + self._inverse.nbytes

    def __call__(self, residual: Float) -> Float:
        if self.rank == 0:
            return self._inverse.inverse_product(residual, self._backend)
        inner = residual[self._factor.pivots]
        blas.solve_left_lower(self._lower, inner)
        solved = self._inverse.inverse_product(residual - self._times(inner), self._backend)
        inner -= self._times_transposed(solved)
        blas.solve_left_lower(self._lower, inner, transposed=True)
        solved[self._factor.pivots] = inner
        return solved

    @property
    def log_det(self) -> float:
        """log det M = 2 log det L - 2 log det G."""
        return 2.0 * float(np.log(np.diagonal(self._lower)).sum() - self._inverse.log_det)

    def inverse_diagonal(self) -> Float:
        """diag(M^-1) (n,), sums of squares of the columns of [L^-1, 0; -G F_o L^-1, G]: 2 n r^2 flops."""
        diagonal = self._inverse.column_squares()
        if not self.rank:
            return diagonal
        unit = np.eye(self.rank)
        blas.solve_left_lower(self._lower, unit)
        chunks = len(self._factor.tiles)
        sums = np.zeros((chunks, self.rank))

        def add(q: int) -> None:
            stop = min(self.n, (q + 1) * WIDTH)
            rows = np.zeros((stop - q * WIDTH, self.rank))
            for i, line in enumerate(rows):
                index, values = self._inverse.row(q * WIDTH + i)
                line += values @ self._factor.rows(index)[:, : self.rank]
            product = np.empty_like(rows)
            blas.gemm(1.0, rows, unit, 0.0, product)
            sums[q] = np.square(product).sum(axis=0)

        self._backend.run(add, range(chunks), 2.0 * self.n * self.rank**2)
        diagonal[self._factor.pivots] = np.square(unit).sum(axis=0) + sums.sum(axis=0)
        return diagonal

    def sample(self, random: np.random.Generator, count: int) -> Float:
        """Normal vectors of covariance M, (n, count): F g + G^+ h of standard ones."""
        inner = random.standard_normal((self.rank, count))
        values = self._inverse.solve(random.standard_normal((self.n, count)))
        if self.rank:
            values += self._times(inner)
            values[self._factor.pivots] = self._lower @ inner
        return values

    def _spans(self) -> list[Span]:
        chunks = len(self._factor.tiles)
        step = -(-chunks // _RUNS)
        return [(a, min(a + step, chunks)) for a in range(0, chunks, step)]

    def _times_transposed(self, vectors: Float) -> Float:
        """F^T V (rank, c)."""
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
        """F V (n, c) for V (rank, c)."""
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
