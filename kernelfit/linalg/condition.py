"""The norm of K^-1 from solves with the factor: exact for small n, an estimate beyond."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.pool import CpuBackend
from kernelfit.linalg.triangular import solve_factored
from kernelfit.storage.panels import PanelStore
from kernelfit.typing import Float

#: up to this order K^-1 is formed: one block of right-hand sides, and estimates are at their worst there
EXACT = 64
# Columns of the estimator's block, which cost little beside reading the factor, and its iterations.
_COLUMNS, _ITERATIONS = 4, 5
# An iteration that gains less is the last: the estimate is within a factor of three as it is.
_GAIN = 1.1


def inverse_norm(store: PanelStore, backend: CpuBackend, row: int | None = None) -> float:
    """|(L L^T)^-1|_1; beyond n = 64 a lower bound, nearly always within a factor of three.

    `row` is that of the smallest pivot, where it is known.
    """

    def solve(vectors: Float) -> Float:
        block = np.array(vectors, store.dtype, order="C")
        solve_factored(store, block, backend)
        return block.astype(np.float64)

    return inverse_norm_of(solve, store.layout.n, row)


def inverse_norm_of(solve: Callable[[Float], Float], n: int, row: int | None = None) -> float:
    """The same from a function that solves for a block of right-hand sides (n, c), float64.

    Higham and Tisseur's block 1-norm estimator (SIAM J. Matrix Anal. Appl. 21, 2000, algorithm 2.4) for a symmetric
    matrix, as `scipy.sparse.linalg.onenormest`, which would draw its start from NumPy's global generator. Signs drawn
    at random miss two rows that are nearly equal, the usual reason of a large condition number, half of the time; the
    column of the smallest pivot p does not, as (A^-1)_ii >= 1 / p for its row i.
    """
    if n <= EXACT:
        return float(np.abs(solve(np.eye(n))).sum(axis=0).max())
    random = np.random.default_rng(0)
    block = np.ones((n, _COLUMNS))
    block[:, 1:] = _signs(random, n, _COLUMNS - 1)
    block /= n
    if row is not None:
        block[:, 1] = 0.0
        block[row, 1] = 1.0
    signs = np.zeros((n, 0))
    estimate, visited = 0.0, np.zeros(n, dtype=bool)
    for iteration in range(_ITERATIONS):
        applied = solve(block)
        norm = float(np.abs(applied).sum(axis=0).max())
        gained = norm > _GAIN * estimate
        estimate = max(estimate, norm)
        if not gained:
            break
        before, signs = signs, np.where(applied < 0, -1.0, 1.0)
        if _parallel(signs, before).all():
            break
        _redraw(signs, before, random)
        largest = np.abs(solve(signs)).max(axis=1)
        order = np.argsort(-largest, kind="stable")
        if iteration > 0 and visited[order[:_COLUMNS]].all():
            break
        chosen = order[~visited[order]][:_COLUMNS]
        visited[chosen] = True
        block = np.zeros((n, len(chosen)))
        block[chosen, np.arange(len(chosen))] = 1.0
    return estimate


def _signs(random: np.random.Generator, n: int, columns: int) -> Float:
    return np.asarray(random.integers(0, 2, (n, columns)) * 2.0 - 1.0)


def _parallel(signs: Float, others: Float) -> NDArray[np.bool_]:
    """Which columns of +-1 are one of `others`, or its opposite."""
    if others.shape[1] == 0:
        return np.zeros(signs.shape[1], dtype=bool)
    parallel: NDArray[np.bool_] = np.abs(signs.T @ others).max(axis=1) >= len(signs) - 0.5
    return parallel


def _redraw(signs: Float, before: Float, random: np.random.Generator) -> None:
    """Replace columns that repeat another or an earlier one: they would teach nothing."""
    for j in range(signs.shape[1]):
        for _ in range(_ITERATIONS):
            others = np.hstack([signs[:, :j], before])
            if not _parallel(signs[:, j : j + 1], others).any():
                break
            signs[:, j : j + 1] = _signs(random, len(signs), 1)
