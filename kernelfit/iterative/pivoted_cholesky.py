"""Randomly pivoted partial Cholesky: F (n, r) with K near F F^T, from r columns of K.

    repeat:  draw a block of rows with probability proportional to the residual diagonal d_i = (K - F F^T)_ii
             accept row i of the block with probability (current d_i) / (d_i when it was drawn)
             G = (K - F F^T)[:, accepted],  C C^T = G[accepted],  F = [F, G C^-T],  d = d - row sums of squares

Rejection makes the accepted rows those that one pivot at a time would have drawn, with the speed of blocks: Y. Chen,
E. N. Epperly, J. A. Tropp and R. J. Webber, Randomly pivoted Cholesky (arXiv 2207.06503); Epperly, Tropp and Webber,
Embrace rejection (arXiv 2410.03969). n r^2 flops and r columns of K.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from kernelfit.cpu import blas
from kernelfit.cpu.pool import CpuBackend
from kernelfit.cpu.tile_products import LINES, WIDTH
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
    """F (n, rank) as float32 tiles of its transpose, (chunks, rows, WIDTH) with rows >= rank a multiple of LINES, zeros
    where there is nothing; and the residual diagonal (n,) of K - F F^T."""

    tiles: NDArray[np.float32]
    rank: int
    residual: Float


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
    chunks, random = chunks_of(n), np.random.default_rng(seed)
    tiles = np.zeros((chunks, -(-rank // LINES) * LINES, WIDTH), np.float32)
    residual = np.maximum(diagonal, 0.0)
    floor = _ROUNDING * residual.max(initial=0.0)
    done = idle = 0
    with progress.phase("precondition", float(n) * rank * rank, "flop") as advance:
        while done < rank and idle < _PATIENCE:
            weights = np.where(residual > floor, residual, 0.0)
            if not weights.any():
                break
            size = min(_BLOCK, rank - done)
            drawn = np.unique(random.choice(n, size=size, p=weights / weights.sum()))
            block = columns(drawn)
            _subtract(block, tiles, done, drawn, backend)
            accepted, lower = _accept(block, drawn, random)
            idle = 0 if len(accepted) else idle + 1
            if not len(accepted):
                continue
            _append(block, accepted, lower, tiles, done, backend)
            last = done + len(accepted)
            advance(float(n) * (last**2 - done**2))
            _subtract_squares(tiles[:, done:last], residual)
            residual[drawn[accepted]] = 0.0
            done = last
    used = -(-done // LINES) * LINES
    return LowRank(tiles if used == tiles.shape[1] else tiles[:, :used].copy(), done, residual)


def _subtract_squares(added: NDArray[np.float32], residual: Float) -> None:
    """d -= row sums of squares of what is new in F, down to zero."""
    for q, tile in enumerate(added):
        rows = tile.astype(np.float64)
        rest = residual[q * WIDTH : (q + 1) * WIDTH]
        rest -= np.einsum("rw,rw->w", rows, rows)[: len(rest)]
        np.maximum(rest, 0.0, out=rest)


def _subtract(
    block: NDArray[np.float32],
    tiles: NDArray[np.float32],
    done: int,
    drawn: NDArray[np.int64],
    backend: CpuBackend,
) -> None:
    """block -= (F F^T)[drawn], in its tiles."""
    if done == 0:
        return
    chunk, within = np.divmod(drawn, WIDTH)
    those = np.ascontiguousarray(tiles[chunk, :done, within])

    def subtract(q: int) -> None:
        blas.gemm(-1.0, those, tiles[q, :done], 1.0, block[q])

    backend.run(subtract, range(len(tiles)), 2.0 * block.size * done)


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
    backend: CpuBackend,
) -> None:
    """F = [F, G C^-T]."""
    inverse = scipy.linalg.solve_triangular(lower, np.eye(len(lower)), lower=True)
    inverse = np.ascontiguousarray(inverse, np.float32)
    last = done + len(accepted)

    def append(q: int) -> None:
        blas.gemm(1.0, inverse, np.ascontiguousarray(block[q, accepted]), 0.0, tiles[q, done:last])

    backend.run(append, range(len(tiles)), 2.0 * block.size * len(accepted))
