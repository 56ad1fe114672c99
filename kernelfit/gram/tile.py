"""One tile of K between two sets of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu import bytes_product
from kernelfit.cpu.pool import CpuBackend
from kernelfit.gram import distances
from kernelfit.gram.points import Points, chunk_length, inner_products
from kernelfit.kernels.base import Kernel
from kernelfit.typing import Float


class ColumnBlock:
    """Columns start:stop of K's second argument, converted once and shared by all tiles of a panel.

    `convert=False` leaves the conversion out, for tiles whose inner products are known already.
    """

    def __init__(self, points: Points, start: int, stop: int, exact: bool, convert: bool = True) -> None:
        self.points, self.start, self.stop, self.exact = points, start, stop, exact
        self.values: NDArray[Any] | bytes_product.Packed = np.empty((0, 0))
        if convert and exact and points.multiplies_bytes:
            self.values = bytes_product.packed_columns(points.values[start:stop], points.centre)
        elif convert:
            self.values = points.block(start, stop, exact)


def narrow(block: ColumnBlock, width: int) -> ColumnBlock:
    """The first `width` columns of a block, without converting them again."""
    if width == block.stop - block.start:
        return block
    part = ColumnBlock(block.points, block.start, block.start + width, block.exact, convert=False)
    # Of packed columns a product reads as many as it has.
    part.values = block.values if isinstance(block.values, bytes_product.Packed) else block.values[:width]
    return part


class PairTile:
    """What `kernelfit.kernels.base.Tile` gives, from what is known of pairs; every quantity in units of `unit`.

    |x_i - x_j|^2 = unit * (sq_rows_i + sq_cols_j - 2 dot_ij)
    <x_i, x_j>    = unit * (dot_ij + offset_rows_i + offset_cols_j)
    |x_i|^2       = unit * origin_rows_i
    """

    unit: float
    sq_rows: Float
    sq_cols: Float
    offset_rows: Float
    offset_cols: Float
    origin_rows: Float
    origin_cols: Float

    def dot(self) -> NDArray[Any]:
        """(h, w) float32 or float64 inner products, formed once for all terms of a kernel."""
        raise NotImplementedError

    def rounded(self) -> tuple[Float, Float] | None:
        """The float64 rows that `dot` was formed from; None where it is exact."""
        raise NotImplementedError

    def coordinates(self) -> tuple[Float, Float]:
        """The rows (h, d) and columns (w, d) themselves, float64, in the kernel's domain."""
        raise NotImplementedError

    def sq_distances(self, out: Float) -> None:
        distances.sq_distances(self.dot(), self.sq_rows, self.sq_cols, self.unit, out)
        rounded = self.rounded()
        if rounded is not None:
            distances.correct_close(self.sq_rows, self.sq_cols, *rounded, out)

    def inner_products(self, out: Float, factor: float = 1.0) -> None:
        distances.inner_products(self.dot(), self.offset_rows, self.offset_cols, factor * self.unit, out)

    def cosines(self, out: Float) -> None:
        distances.inner_products(self.dot(), self.offset_rows, self.offset_cols, 1.0, out)
        distances.cosines(out, self.origin_rows, self.origin_cols)

    def lengths(self) -> tuple[Float, Float]:
        return np.sqrt(self.unit * self.origin_rows), np.sqrt(self.unit * self.origin_cols)

    def l1_distances(self, out: Float) -> None:
        distances.l1_distances(*self.coordinates(), out)


class KernelTile(PairTile):
    """Rows a:b of one set against a block of columns; satisfies `kernelfit.kernels.base.Tile`."""

    def __init__(
        self,
        rows: Points,
        start: int,
        stop: int,
        columns: ColumnBlock,
        backend: CpuBackend,
        dot: NDArray[Any] | None = None,
    ) -> None:
        exact = columns.exact
        self._rows, self._start, self._stop = rows, start, stop
        self._columns, self._backend = columns, backend
        self._dot = dot
        self._row_block: NDArray[Any] | None = None  # what was multiplied, where that was no bytes
        self.unit = rows.scale * columns.points.scale if exact else 1.0
        self.sq_rows, self.offset_rows, self.origin_rows = rows.row_vectors(start, stop, exact)
        self.sq_cols, self.offset_cols, self.origin_cols = columns.points.row_vectors(
            columns.start, columns.stop, exact
        )

    @property
    def shape(self) -> tuple[int, int]:
        return self._stop - self._start, self._columns.stop - self._columns.start

    def dot(self) -> NDArray[Any]:
        if self._dot is None:
            features = self._rows.shape[1]
            chunk = chunk_length(self._rows, self._columns.points)
            single = self._columns.exact and features <= chunk
            out = self._backend.scratch("dot", *self.shape, np.float32 if single else np.float64)
            columns = self._columns.values
            if isinstance(columns, bytes_product.Packed):
                height = self._stop - self._start
                space = self._backend.scratch("bytes", 1, bytes_product.row_space(height, features), np.int8)
                values = self._rows.values[self._start : self._stop]
                rows = bytes_product.packed_rows(values, self._rows.centre, space)
                bytes_product.multiply(rows, columns, out)
            else:
                self._row_block = self._rows.block(self._start, self._stop, self._columns.exact)
                inner_products(self._row_block, columns, out, chunk)
            self._dot = out
        return self._dot

    def rounded(self) -> tuple[Float, Float] | None:
        if self._columns.exact:
            return None
        columns = self._columns.values
        assert self._row_block is not None
        assert isinstance(columns, np.ndarray)
        return self._row_block, columns

    def coordinates(self) -> tuple[Float, Float]:
        points = self._columns.points
        columns = points.scaled(self._columns.start, self._columns.stop)
        return self._rows.scaled(self._start, self._stop), columns

    def scratch(self, name: str) -> Float:
        return self._backend.scratch(name, *self.shape, np.float64)


def evaluate(
    kernel: Kernel,
    rows: Points,
    start: int,
    stop: int,
    columns: ColumnBlock,
    out: NDArray[Any],
    backend: CpuBackend,
    dot: NDArray[Any] | None = None,
) -> None:
    """out <- k(rows[start:stop], columns), shape (stop - start, width), rounded to the dtype of `out`.

    `dot` holds the inner products where they are known already, as `KernelTile.dot` would form them.
    """
    tile = KernelTile(rows, start, stop, columns, backend, dot)
    # Numba vectorises loops over contiguous blocks only.
    direct = out.dtype == np.float64 and out.flags.c_contiguous
    target = out if direct else backend.scratch("tile", *tile.shape, np.float64)
    kernel.evaluate(tile, target)
    if not direct:
        out[...] = target
