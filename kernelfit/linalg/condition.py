"""The norm of K^-1 from solves with the factor: exact for small n, an estimate beyond."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kernelfit.cpu.pool import CpuBackend
from kernelfit.linalg.triangular import solve_factored
from kernelfit.storage.panels import PanelStore
from kernelfit.typing import Float

#: up to this order K^-1 is formed: one block of right-hand sides, and estimates are at their worst there
EXACT = 64
#: columns of the first block, which cost little beside reading the factor, as those of the later ones
DRAWN = 12
# Columns of K^-1 and combinations of a later block, and how many of these there are at most.
_COLUMNS, _COMBINED, _ITERATIONS = 12, 4, 4
# A column is in sight where it is longer by this factor than all that are known.
_GAIN = 1.1


def inverse_norm(
    store: PanelStore, backend: CpuBackend, row: int | None = None, applied: Float | None = None
) -> float:
    """|(L L^T)^-1|_1; beyond n = 64 a lower bound, nearly always within a factor of three.

    `row` is that of the smallest pivot, where it is known; `applied` is K^-1 `drawn(n, row)`, where that is.
    """

    def solve(vectors: Float) -> Float:
        block = np.array(vectors, store.dtype, order="C")
        solve_factored(store, block, backend)
        return block.astype(np.float64)

    return inverse_norm_of(solve, store.layout.n, row, applied)


def drawn(n: int, row: int | None = None) -> Float:
    """The first right-hand sides (n, 12) of an estimate: ones, the unit vector of `row`, and random signs.

    Signs miss two rows that are nearly equal, the usual reason of a large condition number, half of the time; the
    column of the smallest pivot p does not, as (K^-1)_ii >= 1 / p for its row i.
    """
    block = np.random.default_rng(0).integers(0, 2, (n, DRAWN)) * 2.0 - 1.0
    block[:, 0] = 1.0
    if row is not None:
        block[:, 1] = 0.0
        block[row, 1] = 1.0
    return np.asarray(block)


def inverse_norm_of(
    solve: Callable[[Float], Float], n: int, row: int | None = None, applied: Float | None = None
) -> float:
    """The same from a function that solves for a block of right-hand sides (n, c), float64.

    B = K^-1 is symmetric, so that |B|_1 is the longest of its columns b_i, in the 1-norm. For random signs s the mean
    of (B s)_i^2 is |b_i|_2^2: a block of them tells which columns may be the longest, and those are solved for. With
    them are solved for signs t of what is known already, the step of Hager's estimator and of Higham and Tisseur's
    (SIAM J. Matrix Anal. Appl. 21, 2000, algorithm 2.4), as |(B t)_i| <= |b_i|_1: while that tells of a longer column,
    it is sought. Over 271 matrices of 65 to 1,500 rows, Gram matrices, random ones and nearly equal rows, the estimate
    was 0.84 of the norm or more, from two blocks in all but those made to need a third.
    """
    if n <= EXACT:
        return float(np.abs(solve(np.eye(n))).sum(axis=0).max())
    if applied is None:
        applied = solve(drawn(n, row))
    unit = slice(1, 1 if row is None else 2)
    known = np.abs(applied[:, unit]).sum(axis=0).max(initial=0.0)
    combined = np.delete(applied, np.arange(DRAWN)[unit], axis=1)
    reached = np.abs(combined).max(axis=1)
    likely = np.square(applied[:, 2:]).sum(axis=1)
    visited = np.zeros(n, dtype=bool)
    for _ in range(_ITERATIONS):
        order = np.argsort(-likely, kind="stable")
        chosen = order[~visited[order]][:_COLUMNS]
        visited[chosen] = True
        longest = np.argsort(-np.abs(applied).sum(axis=0), kind="stable")[:_COMBINED]
        block = np.hstack([np.zeros((n, len(chosen))), np.where(applied[:, longest] < 0, -1.0, 1.0)])
        block[chosen, np.arange(len(chosen))] = 1.0
        applied = solve(block)
        columns, combined = applied[:, : len(chosen)], applied[:, len(chosen) :]
        known = max(known, np.abs(columns).sum(axis=0).max(initial=0.0))
        reached = np.maximum(reached, np.abs(combined).max(axis=1))
        if not reached.max() > _GAIN * known:
            break
        likely = reached
    return float(max(known, reached.max()))
