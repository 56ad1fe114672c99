"""A sparse factor G of the inverse of a matrix S that is positive definite: G^T G near S^-1, G lower triangular.

    row i of G:  g = L^-T e,  L L^T = S[J, J],  J = the neighbours of i before it, and i

which minimises |I - G C|_F over factors of that pattern, C C^T = S, up to scales that make diag(G S G^T) = 1 (L. Yu.
Kolotilina and A. Yu. Yeremin, Factorized sparse approximate inverse preconditionings, SIAM J. Matrix Anal. Appl. 14,
1993). Among statisticians the same is Vecchia's approximation: each row is conditioned on its neighbours alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.jit import njit
from kernelfit.cpu.pool import CpuBackend
from kernelfit.typing import Float, Span

# Rows of G that are formed together, and runs of rows of a product.
_TOGETHER, _RUNS = 32, 24


class SparseInverse:
    """G by rows of `neighbours` (n, k), and i itself: `values` (n, k + 1); rows where `active` is False are zero."""

    def __init__(self, neighbours: NDArray[np.int32], values: Float, active: NDArray[np.bool_]) -> None:
        n = len(neighbours)
        self.active = active
        self._index = np.hstack([neighbours, np.arange(n, dtype=np.int32)[:, None]])
        self._values = values
        # G^T by its rows, each in the order of the columns.
        entries = np.flatnonzero(values)
        targets = self._index.reshape(-1)[entries]
        order = np.argsort(targets, kind="stable")
        self._starts = np.zeros(n + 1, np.int64)
        np.cumsum(np.bincount(targets, minlength=n), out=self._starts[1:])
        self._rows = (entries[order] // values.shape[1]).astype(np.int32)
        self._transposed = values.reshape(-1)[entries[order]]

    @property
    def nbytes(self) -> int:
        arrays = (self._index, self._values, self._starts, self._rows, self._transposed)
        return sum(array.nbytes for array in arrays)

    @property
    def log_det(self) -> float:
        """log det of the rows and columns that are active."""
        return float(np.log(self._values[self.active, -1]).sum())

    def inverse_product(self, vectors: Float, backend: CpuBackend) -> Float:
        """G^T G V (n, c) for V (n, c)."""
        inner, outer = np.zeros_like(vectors), np.zeros_like(vectors)
        work = 4.0 * self._values.size * vectors.shape[1]

        def times(span: Span) -> None:
            _times(self._index, self._values, vectors, inner, *span)

        def times_transposed(span: Span) -> None:
            _times_transposed(self._starts, self._rows, self._transposed, inner, outer, *span)

        backend.run(times, self._spans(), work)
        backend.run(times_transposed, self._spans(), work)
        return outer

    def solve(self, vectors: Float) -> Float:
        """W (n, c) with G W = V in active rows and zeros elsewhere."""
        solved = np.where(self.active[:, None], vectors, 0.0)
        _solve(self._index, self._values, solved)
        return solved

    def column_squares(self) -> Float:
        """Of G, (n,)."""
        weights = np.square(self._values).reshape(-1)
        return np.bincount(self._index.reshape(-1), weights, len(self._values)).astype(np.float64)

    def row(self, i: int) -> tuple[NDArray[np.int64], Float]:
        """Where row i has entries, and these."""
        where = self._values[i] != 0
        return self._index[i, where].astype(np.int64), self._values[i, where]

    def _spans(self) -> list[Span]:
        n = len(self._values)
        step = max(1, -(-n // _RUNS))
        return [(a, min(a + step, n)) for a in range(0, n, step)]


def sparse_inverse(
    blocks: Callable[[NDArray[np.int64]], Float],
    neighbours: NDArray[np.int32],
    diagonal: Float,
    floor: float,
    backend: CpuBackend,
) -> SparseInverse:
    """G of S, of which `blocks` gives S[index[b], index[b]] (b, s, s) but for their diagonals, which come from
    `diagonal` (n,); rows where that is 0 are left out. `floor` is added to it: errors of S are about that large.

    `neighbours` (n, k) have i itself where one is missing. n k^3 / 3 flops beside those of the blocks.
    """
    n, count = neighbours.shape
    active = diagonal > 0
    rows = np.flatnonzero(active)
    values = np.zeros((n, count + 1))
    raised = diagonal + floor

    def form(start: int) -> None:
        part = rows[start : start + _TOGETHER]
        index = np.hstack([neighbours[part], part[:, None]]).astype(np.int64)
        square = np.ascontiguousarray(blocks(index), np.float64)
        made = np.zeros((len(part), count + 1))
        _rows_of_inverse(square, index, raised, floor, made)
        values[part] = made

    backend.run(form, range(0, len(rows), _TOGETHER))
    return SparseInverse(neighbours, values, active)


@njit(cache=True, nogil=True, error_model="numpy")
def _rows_of_inverse(square: Any, index: Any, diagonal: Any, floor: float, made: Any) -> None:
    """The last row of the inverse Cholesky factor of every block; of one that is singular to rounding its diagonal."""
    size = index.shape[1]
    for b in range(len(index)):
        block, row = square[b], index[b, size - 1]
        # A neighbour that is missing is a row of the identity.
        for i in range(size):
            missing = i < size - 1 and index[b, i] == row
            for j in range(i):
                if missing or index[b, j] == row:
                    block[i, j] = 0.0
            block[i, i] = 1.0 if missing else diagonal[index[b, i]]
        sound = True
        for j in range(size):
            pivot = block[j, j]
            for t in range(j):
                pivot -= block[j, t] * block[j, t]
            if not pivot > 0.5 * floor:
                sound = False
                break
            block[j, j] = np.sqrt(pivot)
            for i in range(j + 1, size):
                value = block[i, j]
                for t in range(j):
                    value -= block[i, t] * block[j, t]
                block[i, j] = value / block[j, j]
        if not sound:
            made[b, size - 1] = 1.0 / np.sqrt(diagonal[row])
            continue
        for i in range(size - 1, -1, -1):
            value = 1.0 if i == size - 1 else 0.0
            for t in range(i + 1, size):
                value -= block[t, i] * made[b, t]
            made[b, i] = value / block[i, i]


@njit(cache=True, nogil=True, error_model="numpy")
def _times(index: Any, values: Any, vectors: Any, product: Any, start: int, stop: int) -> None:
    for i in range(start, stop):
        for t in range(values.shape[1]):
            value = values[i, t]
            if value != 0.0:
                j = index[i, t]
                for c in range(vectors.shape[1]):
                    product[i, c] += value * vectors[j, c]


@njit(cache=True, nogil=True, error_model="numpy")
def _times_transposed(
    starts: Any, rows: Any, values: Any, vectors: Any, product: Any, start: int, stop: int
) -> None:
    for i in range(start, stop):
        for t in range(starts[i], starts[i + 1]):
            for c in range(vectors.shape[1]):
                product[i, c] += values[t] * vectors[rows[t], c]


@njit(cache=True, nogil=True, error_model="numpy")
def _solve(index: Any, values: Any, solved: Any) -> None:
    last = values.shape[1] - 1
    for i in range(len(values)):
        if values[i, last] == 0.0:
            continue
        for t in range(last):
            value = values[i, t]
            if value != 0.0:
                for c in range(solved.shape[1]):
                    solved[i, c] -= value * solved[index[i, t], c]
        for c in range(solved.shape[1]):
            solved[i, c] /= values[i, last]
