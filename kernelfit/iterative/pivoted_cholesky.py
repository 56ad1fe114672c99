"""Randomly pivoted partial Cholesky: F (n, r) with K near F F^T, from r columns of K.

    repeat:  draw a block of rows with probability proportional to the residual diagonal d_i = (K - F F^T)_ii
             accept row i of the block with probability (current d_i) / (d_i when it was drawn)
             G = (K - F F^T)[:, accepted],  C C^T = G[accepted],  F = [F, G C^-T],  d = d - row sums of squares

The rows and columns of K - F F^T at accepted rows, the pivots, are zero.

Rejection makes the accepted rows those that one pivot at a time would have drawn, with the speed of blocks: Y. Chen,
E. N. Epperly, J. A. Tropp and R. J. Webber, Randomly pivoted Cholesky (arXiv 2207.06503); Epperly, Tropp and Webber,
Embrace rejection (arXiv 2410.03969). n r^2 flops and r columns of K.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu import blas
from kernelfit.cpu.pool import CpuBackend
from kernelfit.cpu.tile_products import WIDTH
from kernelfit.iterative.vectors import chunks_of
from kernelfit.progress import Progress
from kernelfit.typing import Float

# Rows drawn at a time: blocks run at the speed of products from some 100 on, and more are rejected the more there are.
_BLOCK = 256
# F is in single precision: a residual diagonal below this fraction of the largest entry is rounding.
_ROUNDING = 1e-6
# Blocks of which nothing is accepted, one after the other, after which no more are drawn.
_PATIENCE = 8


@dataclass(frozen=True)
class LowRank:
    """F (n, rank) as float32 tiles (chunks, chunks of the rank, WIDTH, WIDTH), zeros where there is nothing; the rows
    `pivots` (rank,) in the order of its columns; and the residual diagonal (n,) of K - F F^T, zero at pivots."""

    tiles: NDArray[np.float32]
    pivots: NDArray[np.int64]
    residual: Float

    @property
    def rank(self) -> int:
        return len(self.pivots)

    def rows(self, index: NDArray[np.int64]) -> NDArray[np.float32]:
        """F[index], (..., rank and zeros that fill its last tile)."""
        chunk, within = np.divmod(index, WIDTH)
        return self.tiles[chunk, :, within].reshape(*index.shape, self.tiles.shape[1] * WIDTH)

    def part(self, index: NDArray[np.int64], t: int) -> NDArray[np.float32]:
        """Columns t WIDTH to (t + 1) WIDTH of F[index], (..., WIDTH)."""
        chunk, within = np.divmod(index, WIDTH)
        # Five times as fast as an index for each axis.
        return self.tiles.reshape(-1, WIDTH).take((chunk * self.tiles.shape[1] + t) * WIDTH + within, axis=0)


def pivoted_cholesky(
    columns: Callable[[NDArray[np.int64]], NDArray[np.float32]],
    diagonal: Float,
    rank: int,
    seed: int,
    backend: CpuBackend,
    progress: Progress,
) -> LowRank:
    """F of rank `rank`, or less where K has no more to single precision.

    `columns` gives those of K as (chunks, b, WIDTH) for ascending indices, as `StoredGram.columns` does.
    """
    n = len(diagonal)
    random = np.random.default_rng(seed)
    tiles = np.zeros((chunks_of(n), chunks_of(rank), WIDTH, WIDTH), np.float32)
    residual = np.maximum(diagonal, 0.0)
    floor = _ROUNDING * residual.max(initial=0.0)
    pivots: list[int] = []
    idle = 0
    with progress.phase("precondition", float(n) * rank * rank, "flop") as advance:
        while len(pivots) < rank and idle < _PATIENCE:
            done = len(pivots)
            weights = np.where(residual > floor, residual, 0.0)
            if not weights.any():
                break
            size = min(_BLOCK, rank - done)
            drawn = np.unique(random.choice(n, size=size, p=weights / weights.sum()))
            block = columns(drawn)
            factor = LowRank(tiles[:, : chunks_of(done)], np.array(pivots, np.int64), residual)
            _subtract(block, factor, drawn, backend)
            accepted, lower = _accept(block, drawn, random)
            idle = 0 if len(accepted) else idle + 1
            if not len(accepted):
                continue
            _append(block, accepted, lower, tiles, done, residual, backend)
            pivots += drawn[accepted].tolist()
            residual[pivots] = 0.0
            advance(float(n) * (len(pivots) ** 2 - done**2))
    used = chunks_of(len(pivots))
    return LowRank(
        tiles if used == tiles.shape[1] else tiles[:, :used].copy(), np.array(pivots, np.int64), residual
    )


def _subtract(
    block: NDArray[np.float32], factor: LowRank, drawn: NDArray[np.int64], backend: CpuBackend
) -> None:
    """block -= (F F^T)[drawn], in its tiles."""
    if factor.rank == 0:
        return
    those = factor.rows(drawn)

    def subtract(q: int) -> None:
        for t, tile in enumerate(factor.tiles[q]):
            part = those[:, t * WIDTH : (t + 1) * WIDTH]
            blas.gemm(-1.0, part, tile, 1.0, block[q], transpose_b=True)

    backend.run(subtract, range(len(block)), 2.0 * block.size * factor.rank)


def _accept(
    block: NDArray[np.float32], drawn: NDArray[np.int64], random: np.random.Generator
) -> tuple[NDArray[np.int64], Float]:
    """Which of the rows that were drawn are accepted, and C of their residual block."""
    chunk, within = np.divmod(drawn, WIDTH)
    whole = block[chunk, :, within].astype(np.float64)
    whole = 0.5 * (whole + whole.T)
    rest, first = whole.copy(), np.maximum(np.diagonal(whole), 0.0).copy()
    accepted = []
    for i, chance in enumerate(random.random(len(drawn))):
        pivot = rest[i, i]
        # A pivot that is rounding beside what was drawn would make a column of rounding errors.
        if pivot > 1e-3 * first[i] and chance * first[i] < pivot:
            column = rest[:, i] / np.sqrt(pivot)
            rest -= np.outer(column, column)
            accepted.append(i)
    index = np.array(accepted, np.int64)
    if not len(index):
        return index, np.zeros((0, 0))
    return index, np.asarray(np.linalg.cholesky(whole[np.ix_(index, index)]), np.float64)


def _append(
    block: NDArray[np.float32],
    accepted: NDArray[np.int64],
    lower: Float,
    tiles: NDArray[np.float32],
    done: int,
    residual: Float,
    backend: CpuBackend,
) -> None:
    """F = [F, G C^-T], and the residual diagonal less its row sums of squares, down to zero."""
    from scipy.linalg import solve_triangular  # 20 MB that direct solves do without

    inverse = solve_triangular(lower, np.eye(len(lower)), lower=True)
    inverse = np.ascontiguousarray(inverse, np.float32)

    def append(q: int) -> None:
        new = np.empty((WIDTH, len(accepted)), np.float32)
        chosen = np.ascontiguousarray(block[q, accepted])
        blas.gemm(1.0, chosen, inverse, 0.0, new, transpose_a=True, transpose_b=True)
        for t in range(done // WIDTH, chunks_of(done + len(accepted))):
            left, right = max(done, t * WIDTH), min(done + len(accepted), (t + 1) * WIDTH)
            tiles[q, t, :, left - t * WIDTH : right - t * WIDTH] = new[:, left - done : right - done]
        rest = residual[q * WIDTH : (q + 1) * WIDTH]
        rest -= np.square(new.astype(np.float64)).sum(axis=1)[: len(rest)]
        np.maximum(rest, 0.0, out=rest)

    backend.run(append, range(len(tiles)), 2.0 * block.size * len(accepted))
