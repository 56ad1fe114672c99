"""K in memory in single precision: the tiles of its lower triangle, each read once for a product with many vectors.

The triangle is cut into lines of `WIDTH` rows, and lines into square tiles: line i has tiles 0..i. A tile serves its
rows and, transposed, its columns, but for the diagonal one, which is stored whole: n^2 / 2 + 256 n numbers of 4 bytes.
A product reads them once, 2 n^2 c flops for c vectors. Lines are dealt out in runs that depend on n alone, and what
their tiles give to columns is added up in the order of the runs: the same bits whatever the number of threads.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.jit import njit
from kernelfit.cpu.pool import CpuBackend
from kernelfit.cpu.tile_products import COLUMNS, GROUP, LINES, ROWS, WIDTH, add_products
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.protocol import GramSource
from kernelfit.iterative.vectors import as_columns, as_rows, chunks_of, from_columns, from_rows, groups_of
from kernelfit.progress import Progress
from kernelfit.typing import Float, Span

# Runs of lines: enough to keep a dozen threads busy, few enough that the sums which each has for all columns are small.
_RUNS = 24


class StoredGram:
    """K of order n as float32 tiles; `lines[i]` is (i + 1, rows, WIDTH), rows a multiple of LINES."""

    def __init__(self, n: int) -> None:
        self.n, self.chunks = n, chunks_of(n)
        heights = [min(WIDTH, -(-(n - i * WIDTH) // LINES) * LINES) for i in range(self.chunks)]
        self.lines = [np.zeros((i + 1, height, WIDTH), np.float32) for i, height in enumerate(heights)]

    @classmethod
    def of(
        cls, source: GramSource, layout: PanelLayout, backend: CpuBackend, progress: Progress
    ) -> StoredGram:
        """Every entry formed once in float64 and rounded."""
        stored = cls(source.n)
        entries = stored.n * (stored.n + 1) / 2.0
        with progress.phase("gram", entries * max(1.0, source.flops_per_entry), "flop") as advance:
            for j in range(layout.count):
                first, last = layout.start(j), layout.stop(j)
                columns = source.columns(first, last, backend)

                def fill(strip: Span, first: int = first, last: int = last, columns: Any = columns) -> None:
                    start, stop = strip
                    tile = backend.scratch("stored", stop - start, min(last, stop) - first, np.float64)
                    columns.fill(start, stop, tile)
                    stored._put(tile, start, first)
                    advance(tile.size * max(1.0, source.flops_per_entry))

                backend.run(fill, _strips(first, stored.n))
        backend.run(stored._mirror, range(stored.chunks))
        return stored

    @property
    def nbytes(self) -> int:
        return sum(line.nbytes for line in self.lines)

    def product(self, vectors: Float, backend: CpuBackend, dtype: Any = np.float64) -> Float:
        """K V (n, c) for V (n, c), with sums over a tile in `dtype` and sums of tiles in float64.

        In float32 V is rounded: give numbers that are of that type already.
        """
        n, c = vectors.shape
        like, groups = np.dtype(dtype).type(1), groups_of(c)
        rows = as_rows(vectors, self.chunks * WIDTH, dtype)
        columns = as_columns(vectors, self.chunks, dtype)
        by_row = np.zeros((groups, self.chunks * WIDTH, GROUP))
        runs = self._runs()
        parts: list[Any] = [None] * len(runs)

        def multiply(index: int) -> None:
            first, last = runs[index]
            part = np.zeros((last, groups, GROUP, WIDTH))
            for i in range(first, last):
                a = i * WIDTH
                b = a + self.lines[i].shape[1]
                _multiply_line(self.lines[i], rows[:, a:b], columns, by_row[:, a:b], part, like)
            parts[index] = part

        # The longest first, so that threads end together.
        backend.run(multiply, range(len(runs))[::-1], 2.0 * n * n * c)
        by_column = np.zeros((self.chunks, groups, GROUP, WIDTH))

        def add(span: Span) -> None:
            first, last = span
            for part in parts:
                reach = min(last, len(part))
                if first < reach:
                    by_column[first:reach] += part[first:reach]

        step = -(-self.chunks // _RUNS)
        spans = [(a, min(a + step, self.chunks)) for a in range(0, self.chunks, step)]
        backend.run(add, spans, 2.0 * n * c * _RUNS)
        return from_rows(by_row, n, c) + from_columns(by_column, n, c)

    def columns(self, index: NDArray[np.int64], backend: CpuBackend) -> NDArray[np.float32]:
        """Columns of K as (chunks, b, WIDTH), zeros beyond n, for ascending indices (b,)."""
        block = np.zeros((self.chunks, len(index), WIDTH), np.float32)
        lines, within = np.divmod(index, WIDTH)
        ends = np.searchsorted(lines, np.arange(self.chunks + 1))

        def gather(q: int) -> None:
            for i in np.unique(lines):
                where = slice(ends[i], ends[i + 1])
                if i >= q:
                    block[q, where] = self.lines[i][q, within[where]]
                else:
                    below = self.lines[q][i]
                    block[q, where, : len(below)] = below[:, within[where]].T

        backend.run(gather, range(self.chunks), float(block.size))
        return block

    def _put(self, tile: Float, start: int, first: int) -> None:
        """Rows from `start` on, within one line, of the columns from `first` on."""
        i, height = start // WIDTH, len(tile)
        a = start - i * WIDTH
        for q in range(first // WIDTH, -(-(first + tile.shape[1]) // WIDTH)):
            left, right = max(first, q * WIDTH), min(first + tile.shape[1], (q + 1) * WIDTH)
            self.lines[i][q, a : a + height, left - q * WIDTH : right - q * WIDTH] = tile[
                :, left - first : right - first
            ]

    def _mirror(self, i: int) -> None:
        """The upper half of a diagonal tile from its lower one; its zeros beyond n stay."""
        line = self.lines[i]
        order = min(WIDTH, self.n - i * WIDTH)
        square = line[i, :order, :order]
        lower = np.tril(square)
        square[...] = lower + np.tril(lower, -1).T

    def _runs(self) -> list[Span]:
        step = -(-self.chunks // _RUNS)
        return [(a, min(a + step, self.chunks)) for a in range(0, self.chunks, step)]


def _strips(first: int, n: int) -> list[Span]:
    """Rows first..n cut where lines of tiles end."""
    cuts = [first, *range((first // WIDTH + 1) * WIDTH, n, WIDTH), n]
    return list(pairwise(cuts))


@njit(cache=True, nogil=True, error_model="numpy")
def _multiply_line(line: Any, rows: Any, columns: Any, by_row: Any, by_column: Any, like: Any) -> None:
    last = len(line) - 1
    for q in range(last):
        add_products(line[q], rows, columns[q], by_row, by_column[q], ROWS | COLUMNS, like)
    add_products(line[last], rows, columns[last], by_row, by_column[last], ROWS, like)
