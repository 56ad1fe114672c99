"""K that is formed anew for every product, tile by tile, from rows of bytes: exact distances, a formula in float32.

A tile is used where it was formed, in the second level of cache, for its rows and its columns. A product takes
n^2 d operations on bytes, for d = 784 some ten times what the formula and the products with ten vectors take.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu import byte_distances, bytes_product
from kernelfit.cpu.bytes_product import Packed
from kernelfit.cpu.pool import CpuBackend
from kernelfit.cpu.tile_products import COLUMNS, ROWS, WIDTH, add_products
from kernelfit.gram.points import Points
from kernelfit.iterative.kernel_entries import KernelEntries
from kernelfit.iterative.tiled_gram import TiledGram, Vectors
from kernelfit.kernels.base import Kernel
from kernelfit.typing import Float


def formed_gram(kernel: Kernel | None, points: Points | None) -> FormedGram | None:
    """K of a kernel and its rows; None where these are no bytes, or where k has no formula in float32."""
    if kernel is None or points is None or not kernel.single or not points.multiplies_bytes:
        return None
    return FormedGram(kernel, points)


class FormedGram(TiledGram):
    """K_ij = k(x_i, x_j) with rows packed once as columns of products."""

    entries = "formed anew in float32"

    def __init__(self, kernel: Kernel, points: Points) -> None:
        super().__init__(points.shape[0])
        self._kernel, self._points = kernel, points
        self._entries = KernelEntries(kernel, points)
        centre = points.centre
        self._columns = [bytes_product.packed_columns(self._rows(q), centre) for q in range(self.chunks)]
        self._terms = [self._terms_of(q, packed) for q, packed in enumerate(self._columns)]

    @property
    def nbytes(self) -> int:
        return sum(packed.values.nbytes + 8 * WIDTH for packed in self._columns)

    def columns(self, index: NDArray[np.int64], backend: CpuBackend) -> NDArray[np.float32]:
        return self._entries.columns(index, backend)

    def blocks(self, index: NDArray[np.int64], backend: CpuBackend) -> Float:
        return self._entries.blocks(index, backend)

    def line(self, i: int, backend: CpuBackend) -> Iterator[NDArray[np.float32]]:
        space = backend.scratch("bytes", 1, bytes_product.row_space(WIDTH, self._points.shape[1]), np.int8)
        packed = bytes_product.packed_rows(self._rows(i), self._points.centre, space)
        terms = self._terms_of(i, packed)
        tile = backend.scratch("formed", self.height(i), WIDTH, np.float32)
        for q in range(i + 1):
            columns = self._columns[q].values
            byte_distances.sq_distances(packed.values, packed.steps, columns, terms, self._terms[q], tile)
            self._kernel.evaluate_single(tile, self._points.scale**2)
            yield tile

    def multiply_line(self, i: int, vectors: Vectors, by_column: Any, backend: CpuBackend) -> None:
        a, b = i * WIDTH, i * WIDTH + self.height(i)
        rows, by_row = vectors.rows[:, a:b], vectors.by_row[:, a:b]
        for q, tile in enumerate(self.line(i, backend)):
            sides = ROWS | COLUMNS if q < i else ROWS
            add_products(tile, rows, vectors.columns[q], by_row, by_column[q], sides, vectors.like)

    def _rows(self, q: int) -> NDArray[Any]:
        """Rows of chunk q, and zeros that fill it."""
        values = self._points.values[q * WIDTH : (q + 1) * WIDTH]
        if len(values) == WIDTH:
            return values
        filled = np.zeros((WIDTH, values.shape[1]), values.dtype)
        filled[: len(values)] = values
        return filled

    def _terms_of(self, q: int, packed: Packed) -> NDArray[np.int32]:
        points = self._points
        sq_norms = np.full(WIDTH, float(points.shape[1] * points.centre**2))
        known = points.row_vectors(q * WIDTH, (q + 1) * WIDTH, True).sq_norms
        sq_norms[: len(known)] = known
        return byte_distances.terms(packed, sq_norms)
