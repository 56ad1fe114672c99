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
from kernelfit.cpu.tile_products import WIDTH
from kernelfit.typing import Float, Span

# Rows of G that are formed together, and runs of rows of a product.
_TOGETHER, _RUNS = 32, 24
# Columns of tiles that are multiplied together.
_COLUMNS = 128


class SparseInverse:
    """G (n, n) by rows: entries at `neighbours` (n, k) of a row and at itself, `values` (n, k + 1)."""

    def __init__(self, neighbours: NDArray[np.int32], values: Float, backend: CpuBackend) -> None:
        n, self._backend = len(neighbours), backend
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
        """log det G."""
        return float(np.log(self._values[:, -1]).sum())

    def times(self, vectors: Float) -> Float:
        """G V (n, c) for V (n, c)."""
        product = np.zeros_like(vectors)

        def multiply(span: Span) -> None:
            _times(self._index, self._values, vectors, product, *span)

        self._backend.run(multiply, self._spans(), 4.0 * self._values.size * vectors.shape[1])
        return product

    def times_transposed(self, vectors: Float) -> Float:
        """G^T V (n, c) for V (n, c)."""
        product = np.zeros_like(vectors)

        def multiply(span: Span) -> None:
            _times_transposed(self._starts, self._rows, self._transposed, vectors, product, *span)

        self._backend.run(multiply, self._spans(), 4.0 * self._values.size * vectors.shape[1])
        return product

    def solve(self, vectors: Float) -> Float:
        """G^-1 V (n, c) for V (n, c)."""
        solved = vectors.copy()
        _solve(self._index, self._values, solved)
        return solved

    def multiply_tiles(self, tiles: NDArray[np.float32]) -> None:
        """F <- G F in place, for F as tiles (chunks, chunks of the rank, WIDTH, WIDTH)."""

        def multiply(part: Span) -> None:
            _multiply_tiles(self._index, self._values, tiles, *part)

        parts = [(t, left) for t in range(tiles.shape[1]) for left in range(0, WIDTH, _COLUMNS)]
        self._backend.run(multiply, parts, 2.0 * self._values.size * tiles.shape[1] * WIDTH)

    def column(self, i: int) -> tuple[NDArray[np.int32], Float]:
        """Where column i has entries, and these."""
        part = slice(self._starts[i], self._starts[i + 1])
        return self._rows[part], self._transposed[part]

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
    `diagonal` (n,), positive. Errors of S are about `floor`.

    `neighbours` (n, k) have i itself where one is missing. n k^3 / 3 flops beside those of the blocks.
    """
    n, count = neighbours.shape
    values = np.zeros((n, count + 1))

    def form(start: int) -> None:
        stop = min(n, start + _TOGETHER)
        index = np.hstack([neighbours[start:stop], np.arange(start, stop)[:, None]]).astype(np.int64)
        square = np.ascontiguousarray(blocks(index), np.float64)
        _rows_of_inverse(square, index, diagonal, floor, values[start:stop])

    backend.run(form, range(0, n, _TOGETHER))
    return SparseInverse(neighbours, values, backend)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
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
        row_of_inverse = made[b]
        row_of_inverse[size - 1] = 1.0
        for i in range(size - 1, -1, -1):
            row_of_inverse[i] /= block[i, i]
            for t in range(i):
                row_of_inverse[t] -= block[i, t] * row_of_inverse[i]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _times(index: Any, values: Any, vectors: Any, product: Any, start: int, stop: int) -> None:
    for i in range(start, stop):
        _add_rows(index[i], values[i], vectors, product[i])


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _times_transposed(
    starts: Any, rows: Any, values: Any, vectors: Any, product: Any, start: int, stop: int
) -> None:
    for i in range(start, stop):
        part = slice(starts[i], starts[i + 1])
        _add_rows(rows[part], values[part], vectors, product[i])


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _add_rows(index: Any, values: Any, vectors: Any, line: Any) -> None:
    """line (c,) += values V[index], five columns at a time, whose sums stay in registers."""
    columns = len(line)
    first = 0
    while first + 5 <= columns:
        s0, s1, s2, s3, s4 = 0.0, 0.0, 0.0, 0.0, 0.0
        for t in range(len(index)):
            value, row = values[t], index[t]
            s0 += value * vectors[row, first]
            s1 += value * vectors[row, first + 1]
            s2 += value * vectors[row, first + 2]
            s3 += value * vectors[row, first + 3]
            s4 += value * vectors[row, first + 4]
        line[first] += s0
        line[first + 1] += s1
        line[first + 2] += s2
        line[first + 3] += s3
        line[first + 4] += s4
        first += 5
    for c in range(first, columns):
        total = 0.0
        for t in range(len(index)):
            total += values[t] * vectors[index[t], c]
        line[c] += total


@njit(cache=True, nogil=True, error_model="numpy")
def _multiply_tiles(index: Any, values: Any, tiles: Any, part: int, left: int) -> None:
    """From the last row on: a row needs itself and rows before it."""
    sums = np.empty(_COLUMNS)
    for i in range(len(index) - 1, -1, -1):
        sums[:] = 0.0
        for t in range(index.shape[1]):
            value, j = values[i, t], index[i, t]
            if value != 0.0:
                line = tiles[j // WIDTH, part, j % WIDTH, left : left + _COLUMNS]
                for c in range(len(sums)):
                    sums[c] += value * line[c]
        target = tiles[i // WIDTH, part, i % WIDTH, left : left + _COLUMNS]
        for c in range(len(sums)):
            target[c] = sums[c]


@njit(cache=True, nogil=True, error_model="numpy")
def _solve(index: Any, values: Any, solved: Any) -> None:
    last = values.shape[1] - 1
    for i in range(len(values)):
        for t in range(last):
            value = values[i, t]
            if value != 0.0:
                for c in range(solved.shape[1]):
                    solved[i, c] -= value * solved[index[i, t], c]
        for c in range(solved.shape[1]):
            solved[i, c] /= values[i, last]
