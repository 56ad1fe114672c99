"""K in memory in single precision: n^2 / 2 + 256 n numbers of 4 bytes, which a product reads once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.jit import njit
from kernelfit.cpu.pool import CpuBackend
from kernelfit.cpu.tile_products import COLUMNS, LINES, ROWS, WIDTH, add_products
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.protocol import GramSource
from kernelfit.iterative.tiled_gram import TiledGram, Vectors
from kernelfit.progress import Progress
from kernelfit.typing import Float, Span


class StoredGram(TiledGram):
    """K of order n as float32 tiles; `lines[i]` is (i + 1, rows, WIDTH), rows a multiple of LINES."""

    entries = "float32 in memory"

    def __init__(self, n: int) -> None:
        super().__init__(n)
        shapes = [(i + 1, self.height(i), WIDTH) for i in range(self.chunks)]
        self._starts = np.cumsum([0, *(math.prod(shape) for shape in shapes)])
        self._space = np.zeros(self._starts[-1], np.float32)
        self.lines = [
            self._space[a:b].reshape(shape)
            for (a, b), shape in zip(pairwise(self._starts), shapes, strict=True)
        ]

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
        return self._space.nbytes

    def multiply_line(self, i: int, vectors: Vectors, by_column: Float, backend: CpuBackend) -> None:
        a, line = i * WIDTH, self.lines[i]
        b = a + line.shape[1]
        rows, by_row = vectors.rows[:, a:b], vectors.by_row[:, a:b]
        _multiply_line(line, rows, vectors.columns, by_row, by_column, vectors.like)

    def columns(self, index: NDArray[np.int64], backend: CpuBackend) -> NDArray[np.float32]:
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

    def line(self, i: int, backend: CpuBackend) -> Iterator[NDArray[np.float32]]:
        return iter(self.lines[i])

    def blocks(self, index: NDArray[np.int64], backend: CpuBackend) -> NDArray[np.float32]:
        blocks = np.empty((*index.shape, index.shape[1]), np.float32)
        _gather(self._space, self._starts, index, self.n, blocks)
        return blocks

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


@njit(cache=True, nogil=True, error_model="numpy")
def _gather(space: Any, starts: Any, index: Any, n: int, blocks: Any) -> None:
    for b in range(len(index)):
        for i in range(index.shape[1]):
            for j in range(i + 1):
                row, column = max(index[b, i], index[b, j]), min(index[b, i], index[b, j])
                line, within = row // WIDTH, row % WIDTH
                height = min(WIDTH, (n - line * WIDTH + LINES - 1) // LINES * LINES)
                place = starts[line] + (column // WIDTH * height + within) * WIDTH + column % WIDTH
                blocks[b, i, j] = blocks[b, j, i] = space[place]
