"""The block rows of L that a worker holds, and the arithmetic on them; knows nothing of Dask.

Left-looking, as `kernelfit.linalg.cholesky`, with the same operations in the same order, so that the numbers are the
same. At step j the owner of block row j has finished it and all others have received it; for each of its own rows i > j

    T = K[i, j] - sum_k<j L[i, k] L[j, k]^T,    L[i, j] = T L[j, j]^-T

Row j + 1 comes first: its owner finishes it while the others are still at step j, and sends it one step early.
Every method may be called again, after a message or a worker was lost: what is done stays done.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cluster.deal import Deal
from kernelfit.cluster.sent_gram import ShareLost
from kernelfit.cluster.tiles import BlockRow, Tiles
from kernelfit.cpu import blas
from kernelfit.cpu.pool import CpuBackend
from kernelfit.gram.layout import DIAGONAL_STRIP, MAX_STRIP
from kernelfit.gram.protocol import GramSource
from kernelfit.linalg.cholesky import factor_diagonal
from kernelfit.typing import Float, Span


@dataclass
class Report:
    """What one step did: of panel j for the journal, of the bar, and of the diagonal by the owner of row j.

    `checksums` are (panel, first row, last row + 1, CRC-32) of blocks that were written where others read them.
    """

    j: int
    flops: float = 0.0
    seconds_gram: float = 0.0
    seconds: float = 0.0
    diagonal: NDArray[Any] | None = None
    checksums: list[tuple[int, int, int, int]] = field(default_factory=list)


@dataclass
class _Vectors:
    """Own rows of right-hand sides; `applied[i]`: how many blocks of row i have been subtracted, i + 1 when solved."""

    blocks: dict[int, NDArray[Any]]
    applied: dict[int, int]


class Share:
    """Block rows `deal.rows(index)` of L, L L^T = K + shift.

    `finished` panels are in the tiles already. One task works at a time, on the threads of `backend`.
    """

    def __init__(
        self,
        deal: Deal,
        index: int,
        source: GramSource,
        shift: float | Float,
        tiles: Tiles,
        backend: CpuBackend,
        finished: int = 0,
    ) -> None:
        self.deal, self.index, self.source, self.shift = deal, index, source, shift
        self.tiles, self.backend = tiles, backend
        self.filled = {i: min(finished, i + 1) for i in deal.rows(index)}
        self._vectors: dict[str, _Vectors] = {}
        #: of every step that is done, for whoever asks again, and of the one that comes next
        self._reports: dict[int, Report] = {}
        self._report = Report(0)
        self._lock = threading.RLock()

    # -- factor -------------------------------------------------------------------------------------------------

    def block_row(self, j: int, above: BlockRow | None) -> BlockRow:
        """Finish block row j with `above`, block row j - 1, where that is still wanted; L[j, :j] and L[j, j].

        Raises `NotPositiveDefiniteError`.
        """
        with self._lock, self.backend:
            started = time.perf_counter()
            if self.filled[j] == j - 1 and above is not None:
                self._fill([j], j - 1, above)
            if self.filled[j] == j:
                self._factor_square(j)
            self._report.seconds += time.perf_counter() - started
            if self.filled[j] <= j:
                raise ShareLost(
                    f"share {self.index}: has {self.filled[j]} blocks of row {j}, expected {j + 1}"
                )
            return self.tiles.block_row(j)

    def advance(self, j: int, row: BlockRow | None) -> Report:
        """Step j for all own rows but the next, which `block_row` finishes; `row` is None where there is none left."""
        with self._lock, self.backend:
            if j in self._reports:
                return self._reports[j]
            started = time.perf_counter()
            rows = [i for i in self.filled if i > j + 1 and self.filled[i] <= j]
            if any(self.filled[i] < j for i in rows):
                raise ShareLost(f"share {self.index}: is asked for step {j} before those that come first")
            if rows:
                assert row is not None
                self._fill(rows, j, row)
            self.tiles.sync()
            report, self._report = self._report, Report(j + 1)
            self._reports[j] = report
            report.j = j
            report.seconds += time.perf_counter() - started
            if self.deal.owner(j) == self.index:
                report.diagonal = np.diagonal(self.tiles.rows(j, j, self.deal.span(j))).copy()
            return report

    def _fill(self, rows: Sequence[int], j: int, row: BlockRow) -> None:
        """Block column j of some rows below row j."""
        left, square = row
        first, last = self.deal.span(j)
        started = time.perf_counter()
        columns = self.source.columns(first, last, self.backend)
        targets = {i: self.tiles.begin(i, j) for i in rows}
        pieces = [(i, strip) for i in rows for strip in _cut(self.deal.span(i), MAX_STRIP)]

        def generate(piece: tuple[int, Span]) -> None:
            columns.fill(*piece[1], self._part(targets, piece))

        def update(piece: tuple[int, Span]) -> None:
            out = self._part(targets, piece)
            for k in range(j):
                blas.gemm(-1.0, self.tiles.rows(piece[0], k, piece[1]), left[k], 1.0, out, transpose_b=True)
            blas.solve_right_lower_transposed(square, out)

        self.backend.run(generate, pieces)
        self._report.seconds_gram += time.perf_counter() - started
        self.backend.run(update, pieces)
        for i in rows:
            self._put(i, j, targets[i])
            height, width = targets[i].shape
            self._report.flops += height * width * (2.0 * first + width)

    def _part(self, targets: dict[int, NDArray[Any]], piece: tuple[int, Span]) -> NDArray[Any]:
        i, (start, stop) = piece
        first = self.deal.layout.start(i)
        return targets[i][start - first : stop - first]

    def _factor_square(self, j: int) -> None:
        """L[j, j] from the finished blocks of its row."""
        first, last = self.deal.span(j)
        started = time.perf_counter()
        block = self.tiles.begin(j, j)
        columns = self.source.columns(first, last, self.backend)
        strips = _cut((first, last), DIAGONAL_STRIP)

        def generate(strip: Span) -> None:
            columns.fill(*strip, block[strip[0] - first : strip[1] - first, : strip[1] - first])

        def update(strip: Span) -> None:
            width = strip[1] - first
            out = block[strip[0] - first : width, :width]
            for k in range(j):
                top = self.tiles.rows(j, k, (first, strip[1]))
                blas.gemm(-1.0, top[strip[0] - first :], top, 1.0, out, transpose_b=True)

        self.backend.run(generate, strips)
        if np.any(self.shift):
            index = np.arange(last - first)
            shift = self.shift if np.ndim(self.shift) == 0 else np.asarray(self.shift)[first:last]
            block[index, index] += np.asarray(shift, block.dtype)
        self._report.seconds_gram += time.perf_counter() - started
        self.backend.run(update, strips)
        factor_diagonal(block, self.deal.layout, j, self.backend)
        self._put(j, j, block)
        width = last - first
        self._report.flops += width * width * (first + width / 3.0)

    def _put(self, i: int, k: int, block: NDArray[Any]) -> None:
        crc = self.tiles.put(i, k, block)
        if crc is not None:
            self._report.checksums.append((k, *self.deal.span(i), crc))
        self.filled[i] = k + 1

    # -- solve --------------------------------------------------------------------------------------------------

    def begin(self, solve: str, blocks: dict[int, NDArray[Any]]) -> None:
        """Own block rows of the right-hand sides of a solve; rows that are missing are zero down to the first there."""
        with self._lock:
            copies = {i: np.array(block, self.tiles.dtype, order="C") for i, block in blocks.items()}
            self._vectors[solve] = _Vectors(copies, dict.fromkeys(copies, 0))

    def begin_identity(self, solve: str, columns: Span) -> None:
        """Columns of the identity, which lie in one block row, as right-hand sides."""
        top = self.deal.layout.panel_of(columns[0])
        width, blocks = columns[1] - columns[0], {}
        for i in self.filled:
            if i >= top:
                blocks[i] = np.zeros((self.deal.height(i), width), self.tiles.dtype)
        if top in blocks:
            within = columns[0] - self.deal.layout.start(top)
            blocks[top][within + np.arange(width), np.arange(width)] = 1.0
        with self._lock:
            self._vectors[solve] = _Vectors(blocks, dict.fromkeys(blocks, top))

    def solved(self, solve: str, j: int, above: NDArray[Any] | None) -> NDArray[Any]:
        """x_j = L[j, j]^-1 (b_j - sum_k<j L[j, k] x_k), with `above` = x_(j-1) where that is still wanted."""
        with self._lock, self.backend:
            vectors = self._of(solve)
            if vectors.applied[j] == j - 1 and above is not None:
                self._subtract(vectors, j, j - 1, above)
            if vectors.applied[j] == j:
                blas.solve_left_lower(self.tiles.rows(j, j, self.deal.span(j)), vectors.blocks[j])
                vectors.applied[j] = j + 1
            if vectors.applied[j] <= j:
                raise ShareLost(f"share {self.index}: right-hand sides of row {j} are not ready")
            return vectors.blocks[j].copy()  # which the solve with L^T overwrites

    def subtract(self, solve: str, j: int, x: NDArray[Any]) -> None:
        """b_i <- b_i - L[i, j] x_j for all own rows i > j but the next."""
        with self._lock, self.backend:
            vectors = self._of(solve)
            rows = [i for i in vectors.blocks if i > j + 1 and vectors.applied[i] <= j]
            if any(vectors.applied[i] < j for i in rows):
                raise ShareLost(
                    f"share {self.index}: is asked for step {j} of a solve before those that come first"
                )
            work = 2.0 * sum(self.deal.height(i) for i in rows) * x.size
            self.backend.run(lambda i: self._subtract(vectors, i, j, x), rows, work)

    def _subtract(self, vectors: _Vectors, i: int, j: int, x: NDArray[Any]) -> None:
        blas.gemm(-1.0, self.tiles.rows(i, j, self.deal.span(i)), x, 1.0, vectors.blocks[i])
        vectors.applied[i] = j + 1

    def solved_transposed(
        self, solve: str, j: int, sums: Sequence[NDArray[Any]]
    ) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """y_j = L[j, j]^-T (x_j - sum_i>j L[i, j]^T y_i) from all shares' `sums`, and the own sum for j - 1."""
        with self._lock, self.backend:
            vectors = self._of(solve)
            if vectors.applied[j] <= j:
                raise ShareLost(f"share {self.index}: row {j} of a solve is not ready")
            if vectors.applied[j] == j + 1:
                target = vectors.blocks[j]
                for part in sums:
                    target -= part
                blas.solve_left_lower(self.tiles.rows(j, j, self.deal.span(j)), target, transposed=True)
                vectors.applied[j] = j + 2
            return vectors.blocks[j], self.transposed_sum(solve, j - 1) if j else None

    def transposed_sum(self, solve: str, j: int) -> NDArray[Any]:
        """sum_i L[i, j]^T y_i over own rows i > j."""
        with self._lock, self.backend:
            vectors = self._of(solve)
            rows = [i for i in vectors.blocks if i > j]
            if any(vectors.applied[i] != i + 2 for i in rows):
                raise ShareLost(f"share {self.index}: rows below {j} of a solve are not ready")
            columns = next(iter(vectors.blocks.values())).shape[1] if vectors.blocks else 0
            parts: dict[int, NDArray[Any]] = {}

            def multiply(i: int) -> None:
                part = np.empty((self.deal.height(j), columns), self.tiles.dtype)
                block = self.tiles.rows(i, j, self.deal.span(i))
                blas.gemm(1.0, block, vectors.blocks[i], 0.0, part, transpose_a=True)
                parts[i] = part

            work = 2.0 * sum(self.deal.height(i) for i in rows) * self.deal.height(j) * columns
            self.backend.run(multiply, rows, work)
            total = np.zeros((self.deal.height(j), columns), self.tiles.dtype)
            for i in rows:
                total += parts[i]
            return total

    def squared_columns(self, solve: str) -> Float:
        """Sums of squares (c,) of the own rows of a solve."""
        with self._lock:
            vectors = self._of(solve)
            blocks = vectors.blocks.values()
            return np.sum(
                [np.einsum("ij,ij->j", b.astype(np.float64), b, dtype=np.float64) for b in blocks], axis=0
            )

    def end(self, solve: str) -> None:
        """Forget the right-hand sides of a solve."""
        with self._lock:
            self._vectors.pop(solve, None)

    def close(self) -> None:
        with self._lock:
            self._vectors.clear()
            self.filled.clear()
            self.tiles.close()

    def _of(self, solve: str) -> _Vectors:
        if solve not in self._vectors:
            raise ShareLost(f"share {self.index}: knows no solve {solve}")
        return self._vectors[solve]


def _cut(span: Span, height: int) -> list[Span]:
    return [(a, min(a + height, span[1])) for a in range(span[0], span[1], height)]
