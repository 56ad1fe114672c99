"""M = F F^T + D near A = K + ridge, and its inverse by Woodbury's formula:

    M^-1 = D^-1 - D^-1 F (I + F^T D^-1 F)^-1 F^T D^-1

D is the ridge and the mean of the residual diagonal of K - F F^T. With F by randomly pivoted Cholesky: M. Diaz,
E. N. Epperly, Z. Frangella, J. A. Tropp and R. J. Webber, Robust, randomized preconditioning for kernel ridge
regression (arXiv 2304.12465). n r^2 flops to set up, 4 n r c for c vectors; F is read twice.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from kernelfit.cpu import blas
from kernelfit.cpu.jit import njit
from kernelfit.cpu.pool import CpuBackend
from kernelfit.cpu.tile_products import COLUMNS, ROWS, WIDTH, add_products
from kernelfit.iterative.pivoted_cholesky import LowRank
from kernelfit.iterative.vectors import as_columns, as_rows, from_columns, from_rows, groups_of
from kernelfit.progress import Progress
from kernelfit.typing import Float, Span

# Rows of F^T D^-1 F that a thread forms at a time.
_STRIP = 256
# Runs of tiles, whose sums are added up in their order.
_RUNS = 24
# What is added to the ridge at least, beside the mean diagonal: F is in single precision.
_FLOOR = 1e-7


class Preconditioner:
    """R -> M^-1 R (n, c), in float64 with F in float32."""

    def __init__(
        self,
        low_rank: LowRank,
        diagonal: Float,
        ridge: float | Float,
        backend: CpuBackend,
        progress: Progress,
    ) -> None:
        self._factor, self._backend = low_rank, backend
        self.rank, self.n = low_rank.rank, len(diagonal)
        left = max(float(low_rank.residual.mean()), _FLOOR * float(np.abs(diagonal).mean()))
        #: D^-1 (n, 1)
        self._inverse = np.broadcast_to(1.0 / (left + np.reshape(ridge, (-1, 1))), (self.n, 1))
        self._lower = self._core(progress)

    @property
    def nbytes(self) -> int:
        return self._factor.tiles.nbytes + self._lower.nbytes

    def __call__(self, residual: Float) -> Float:
        scaled = residual * self._inverse
        if self.rank == 0:
            return scaled
        c = residual.shape[1]
        inner = self._times_transposed(scaled)
        solved = scipy.linalg.cho_solve((self._lower, True), inner[: self.rank], check_finite=False)
        return scaled - self._times(solved, c) * self._inverse

    @property
    def log_det(self) -> float:
        """log det M = log det D + log det (I + F^T D^-1 F)."""
        return 2.0 * float(np.log(np.diagonal(self._lower)).sum()) - float(np.log(self._inverse).sum())

    def inverse_diagonal(self) -> Float:
        """diag(M^-1) (n,): n r^2 flops."""
        tiles, rank = self._factor.tiles, self.rank
        lower, sums = np.ascontiguousarray(self._lower), np.zeros((len(tiles), WIDTH))

        def add(q: int) -> None:
            solved = tiles[q, :rank].astype(np.float64)
            blas.solve_left_lower(lower, solved)
            sums[q] = np.einsum("rw,rw->w", solved, solved)

        if rank:
            self._backend.run(add, range(len(tiles)), float(self.n) * rank * rank)
        inverse: Float = self._inverse[:, 0]
        return inverse - np.square(inverse) * sums.reshape(-1)[: self.n]

    def sample(self, random: np.random.Generator, count: int) -> Float:
        """Normal vectors of covariance M, (n, count): F g + D^(1/2) h of standard ones."""
        inner = random.standard_normal((self.rank, count))
        values = random.standard_normal((self.n, count)) / np.sqrt(self._inverse)
        return values + self._times(inner, count) if self.rank else values

    def _core(self, progress: Progress) -> Float:
        """The Cholesky factor of I + F^T D^-1 F (r, r)."""
        rank, tiles = self.rank, self._factor.tiles
        core = np.zeros((rank, rank))
        inverse = np.zeros((len(tiles), 1, WIDTH))
        inverse.reshape(-1)[: self.n] = self._inverse[:, 0]

        with progress.phase("precondition", float(self.n) * rank * rank, "flop") as advance:

            def form(start: int) -> None:
                stop = min(start + _STRIP, rank)
                for q, tile in enumerate(tiles):
                    rows = tile[start:stop] * inverse[q]
                    blas.gemm(
                        1.0,
                        rows,
                        tile[:stop].astype(np.float64),
                        1.0,
                        core[start:stop, :stop],
                        transpose_b=True,
                    )
                advance(2.0 * self.n * (stop - start) * stop)

            starts = range(0, rank, _STRIP)
            self._backend.run(form, starts[::-1], 2.0 * self.n * rank * rank)
        core[np.diag_indices(rank)] += 1.0
        return scipy.linalg.cholesky(core, lower=True, overwrite_a=True, check_finite=False)

    def _spans(self) -> list[Span]:
        chunks = len(self._factor.tiles)
        step = -(-chunks // _RUNS)
        return [(a, min(a + step, chunks)) for a in range(0, chunks, step)]

    def _times_transposed(self, vectors: Float) -> Float:
        """F^T V (rows, c)."""
        tiles, c = self._factor.tiles, vectors.shape[1]
        columns = as_columns(vectors, len(tiles), np.float64)
        spans = self._spans()
        groups, group = groups_of(c, np.float64)
        parts = np.zeros((len(spans), groups, tiles.shape[1], group))

        def multiply(index: int) -> None:
            first, last = spans[index]
            _multiply(
                tiles[first:last], parts[index], columns[first:last], parts[index], columns[first:last], ROWS
            )

        self._backend.run(multiply, range(len(spans)), 2.0 * self.n * self.rank * c)
        return from_rows(parts.sum(axis=0), tiles.shape[1], c)

    def _times(self, vectors: Float, c: int) -> Float:
        """F V (n, c) for V (r, c)."""
        tiles = self._factor.tiles
        rows = as_rows(vectors, tiles.shape[1], np.float64)
        sums = np.zeros((len(tiles), *groups_of(c, np.float64), WIDTH))

        def multiply(span: Span) -> None:
            first, last = span
            _multiply(tiles[first:last], rows, sums[first:last], rows, sums[first:last], COLUMNS)

        self._backend.run(multiply, self._spans(), 2.0 * self.n * self.rank * c)
        return from_columns(sums, self.n, c)


@njit(cache=True, nogil=True, error_model="numpy")
def _multiply(tiles: Any, rows: Any, columns: Any, by_row: Any, by_column: Any, sides: int) -> None:
    for q in range(len(tiles)):
        add_products(tiles[q], rows, columns[q], by_row, by_column[q], sides, 1.0)
