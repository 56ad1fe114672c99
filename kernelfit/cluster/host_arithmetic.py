"""A share's arithmetic on the CPU of its worker: the operations of one process, in the same order, in strips."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cluster.arithmetic import Built, Part
from kernelfit.cluster.tiles import BlockRow, Tiles
from kernelfit.cpu import blas
from kernelfit.gram.layout import DIAGONAL_STRIP, MAX_STRIP
from kernelfit.gram.points import Points
from kernelfit.linalg import triangular
from kernelfit.linalg.cholesky import factor_diagonal
from kernelfit.linalg.product import Product
from kernelfit.typing import Float, Span


class HostArithmetic:
    """The operations of `kernelfit.cluster.arithmetic.Arithmetic` on `tiles`, by the threads of the part's backend."""

    def __init__(self, part: Part, tiles: Tiles) -> None:
        self.part, self.dtype = part, tiles.dtype
        self._tiles, self._deal, self._backend = tiles, part.deal, part.backend

    def load(self, i: int, k: int) -> None:
        self._tiles.load(i, k)

    def fill(self, rows: Sequence[int], j: int, row: BlockRow) -> Built:
        left, square = row
        started = time.perf_counter()
        columns = self.part.source.columns(*self._deal.span(j), self._backend)
        targets = {i: self._tiles.begin(i, j) for i in rows}
        pieces = [(i, strip) for i in rows for strip in _cut(self._deal.span(i), MAX_STRIP)]

        def generate(piece: tuple[int, Span]) -> None:
            columns.fill(*piece[1], self._part(targets, piece))

        def update(piece: tuple[int, Span]) -> None:
            out = self._part(targets, piece)
            for k in range(j):
                blas.gemm(-1.0, self._tiles.rows(piece[0], k, piece[1]), left[k], 1.0, out, transpose_b=True)
            blas.solve_right_lower_transposed(square, out)

        self._backend.run(generate, pieces)
        built = Built(time.perf_counter() - started)
        self._backend.run(update, pieces)
        for i in rows:
            self._put(i, j, targets[i], built)
        return built

    def _part(self, targets: dict[int, NDArray[Any]], piece: tuple[int, Span]) -> NDArray[Any]:
        i, (start, stop) = piece
        first = self._deal.layout.start(i)
        return targets[i][start - first : stop - first]

    def factor_square(self, j: int) -> Built:
        first, last = self._deal.span(j)
        started = time.perf_counter()
        block = self._tiles.begin(j, j)
        columns = self.part.source.columns(first, last, self._backend)
        strips = _cut((first, last), DIAGONAL_STRIP)

        def generate(strip: Span) -> None:
            columns.fill(*strip, block[strip[0] - first : strip[1] - first, : strip[1] - first])

        def update(strip: Span) -> None:
            width = strip[1] - first
            out = block[strip[0] - first : width, :width]
            for k in range(j):
                top = self._tiles.rows(j, k, (first, strip[1]))
                blas.gemm(-1.0, top[strip[0] - first :], top, 1.0, out, transpose_b=True)

        self._backend.run(generate, strips)
        shift = self.part.shift
        if np.any(shift):
            index = np.arange(last - first)
            here = shift if np.ndim(shift) == 0 else np.asarray(shift)[first:last]
            block[index, index] += np.asarray(here, block.dtype)
        built = Built(time.perf_counter() - started)
        self._backend.run(update, strips)
        factor_diagonal(block, self._deal.layout, j, self._backend)
        self._put(j, j, block, built)
        return built

    def _put(self, i: int, k: int, block: NDArray[Any], built: Built) -> None:
        crc = self._tiles.put(i, k, block)
        if crc is not None:
            built.checksums.append((k, *self._deal.span(i), crc))

    def block_row(self, i: int) -> BlockRow:
        return self._tiles.block_row(i)

    def diagonal(self, j: int) -> NDArray[Any]:
        return np.diagonal(self._tiles.rows(j, j, self._deal.span(j))).copy()

    def solve(self, j: int, x: NDArray[Any], *, transposed: bool = False) -> None:
        square = self._tiles.rows(j, j, self._deal.span(j))
        triangular.solve_square(square, x, self._backend, transposed=transposed)

    def subtract(
        self, rows: Sequence[int], j: int, x: NDArray[Any], blocks: Mapping[int, NDArray[Any]]
    ) -> None:
        def subtract(i: int) -> None:
            triangular.subtract_product(self._tiles.rows(i, j, self._deal.span(i)), x, blocks[i])

        self._backend.run(subtract, rows, self._work(rows, j, x))

    def transposed_sum(self, rows: Sequence[int], j: int, blocks: Mapping[int, NDArray[Any]]) -> NDArray[Any]:
        parts: dict[int, NDArray[Any]] = {}

        def multiply(i: int) -> None:
            parts[i] = triangular.transposed_product(self._tiles.rows(i, j, self._deal.span(i)), blocks[i])

        self._backend.run(multiply, rows, self._work(rows, j, blocks[rows[0]]))
        return np.sum([parts[i] for i in rows], axis=0)

    def _work(self, rows: Sequence[int], j: int, x: NDArray[Any]) -> float:
        numbers = sum(self._deal.height(i) for i in rows) * self._deal.height(j)
        return triangular.work(numbers, x.shape[1])

    def product(self, vectors: Float, panels: Iterable[int], with_norm: bool) -> Product | None:
        return None

    def predict(self, rows: Points, alpha: Float) -> Float | None:
        return None

    def sync(self) -> None:
        self._tiles.sync()

    def close(self) -> None:
        self._tiles.close()


def _cut(span: Span, height: int) -> list[Span]:
    return [(a, min(a + height, span[1])) for a in range(span[0], span[1], height)]
