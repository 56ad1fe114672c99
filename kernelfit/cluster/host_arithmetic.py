"""A share's arithmetic on the CPU of its worker: the operations of one process, in the same order, in strips."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cluster.arithmetic import Blocks, Built, Part
from kernelfit.cluster.tiles import Tiles
from kernelfit.cpu import blas
from kernelfit.gram.layout import DIAGONAL_STRIP, MAX_STRIP
from kernelfit.gram.points import Points
from kernelfit.linalg import triangular
from kernelfit.linalg.cholesky import factor_diagonal
from kernelfit.linalg.product import Product
from kernelfit.typing import Float, Span

# A strip of a block row.
_Piece = tuple[int, Span]


class HostArithmetic:
    """The operations of `kernelfit.cluster.arithmetic.Arithmetic` on `tiles`, by the threads of the part's backend."""

    def __init__(self, part: Part, tiles: Tiles) -> None:
        self.part, self.dtype = part, tiles.dtype
        self._tiles, self._deal, self._backend = tiles, part.deal, part.backend
        #: T[i, j], from `update` until it is L[i, j]
        self._begun: dict[tuple[int, int], NDArray[Any]] = {}

    def load(self, i: int, k: int) -> None:
        self._tiles.load(i, k)

    def update(self, rows: Sequence[int], j: int, early: Blocks) -> Built:
        started = time.perf_counter()
        columns = self.part.source.columns(*self._deal.span(j), self._backend)
        self._begun |= {(i, j): self._tiles.begin(i, j) for i in rows}
        pieces = self._pieces(rows, j)

        def generate(piece: _Piece) -> None:
            columns.fill(*piece[1], self._target(piece, j))

        self._backend.run(generate, pieces)
        if j in rows and np.any(self.part.shift):
            shift, diagonal = self.part.shift, np.einsum("ii->i", self._begun[j, j])
            here = shift if np.ndim(shift) == 0 else np.asarray(shift)[slice(*self._deal.span(j))]
            diagonal += np.asarray(here, diagonal.dtype)
        built = Built(time.perf_counter() - started)
        self._backend.run(lambda piece: self._subtract(piece, j, 0, early), pieces)
        return built

    def finish(self, rows: Sequence[int], j: int, late: Blocks) -> Built:
        *left, square = late

        def finish(piece: _Piece) -> None:
            self._subtract(piece, j, self._deal.first_late(j), left)
            blas.solve_right_lower_transposed(square, self._target(piece, j))

        self._backend.run(finish, self._pieces(rows, j))
        return self._put(rows, j)

    def factor_square(self, j: int) -> Built:
        first = self._deal.first_late(j)
        late = self._tiles.blocks(j, first, j)
        self._backend.run(lambda piece: self._subtract(piece, j, first, late), self._pieces([j], j))
        factor_diagonal(self._begun[j, j], self._deal.layout, j, self._backend)
        return self._put([j], j)

    def _pieces(self, rows: Sequence[int], j: int) -> list[_Piece]:
        """Rows of panel j in strips, as one process cuts them; short ones in its square, of which half is wanted."""
        heights = {i: DIAGONAL_STRIP if i == j else MAX_STRIP for i in rows}
        return [(i, strip) for i in rows for strip in _cut(self._deal.span(i), heights[i])]

    def _target(self, piece: _Piece, j: int) -> NDArray[Any]:
        i, (start, stop) = piece
        first = self._deal.layout.start(i)
        return self._begun[i, j][start - first : stop - first, : stop - first if i == j else None]

    def _subtract(self, piece: _Piece, j: int, first: int, blocks: Blocks) -> None:
        """Products with the blocks (j, first), ... off a piece of panel j."""
        (i, strip), target = piece, self._target(piece, j)
        for k, block in enumerate(blocks, first):
            own = self._tiles.rows(i, k, strip)
            blas.gemm(-1.0, own, block[: target.shape[1]], 1.0, target, transpose_b=True)

    def _put(self, rows: Sequence[int], j: int) -> Built:
        built = Built()
        for i in rows:
            crc = self._tiles.put(i, j, self._begun.pop((i, j)))
            if crc is not None:
                built.checksums.append((j, *self._deal.span(i), crc))
        return built

    def early(self, j: int) -> Blocks:
        return self._tiles.blocks(j, 0, self._deal.first_late(j))

    def late(self, j: int) -> Blocks:
        return self._tiles.blocks(j, self._deal.first_late(j), j + 1)

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
        self._begun.clear()
        self._tiles.close()


def _cut(span: Span, height: int) -> list[Span]:
    return [(a, min(a + height, span[1])) for a in range(span[0], span[1], height)]
