"""One tile of K between two sets of rows."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu import bytes_product, bytes_square, floats_square
from kernelfit.cpu.pool import CpuBackend
from kernelfit.gram import distances, sparse_pairs
from kernelfit.gram.points import Points, RowVectors, chunk_length, inner_products
from kernelfit.kernels.base import Kernel, Needs
from kernelfit.typing import Float


class ColumnBlock:
    """Columns start:stop of K's second argument, converted once and shared by all tiles of a panel.

    What `needs` names is converted at once, before threads ask for it; anything else when it is asked for.
    """

    def __init__(
        self, points: Points, start: int, stop: int, exact: bool, needs: Needs | None = None
    ) -> None:
        self.points, self.start, self.stop, self.exact = points, start, stop, exact
        self._centred: NDArray[Any] | bytes_product.Packed | None = None
        self._about_origin: Float | None = None
        self._coordinates: Float | None = None
        self._apart: Float | None = None
        #: whether a tile asked for the rows themselves
        self.read_rows = False
        if needs is None:
            return
        shared = exact or shares_products(points)
        if Needs.DISTANCES in needs or (Needs.INNER_PRODUCTS in needs and shared):
            self.centred()
        if Needs.INNER_PRODUCTS in needs and not shared:
            self.about_origin()

    @property
    def is_bytes_yet(self) -> bool:
        """Whether the CPU multiplies them as bytes, and none are packed."""
        return self._centred is None and self.exact and self.points.multiplies_bytes

    def centred(self) -> NDArray[Any] | bytes_product.Packed:
        """`Points.block`, or bytes packed for the CPU's own products."""
        if self._centred is None:
            if self.exact and self.points.multiplies_bytes:
                values = self.points.values[self.start : self.stop]
                self._centred = bytes_product.packed_columns(values, self.points.centre)
            else:
                self._centred = self.points.block(self.start, self.stop, self.exact)
        return self._centred

    def about_origin(self) -> Float:
        """`Points.about_origin`."""
        if self._about_origin is None:
            self._about_origin = self.points.about_origin(self.start, self.stop)
        return self._about_origin

    def coordinates(self) -> Float:
        """`Points.scaled`."""
        self.read_rows = True
        if self._coordinates is None:
            self._coordinates = self.points.scaled(self.start, self.stop)
        return self._coordinates

    def apart(self) -> Float:
        """`Points.apart`."""
        self.read_rows = True
        if self._apart is None:
            self._apart = self.points.apart(self.start, self.stop)
        return self._apart

    def own(self) -> None:
        """Copy what is converted but still lies in the array that the rows came in, which may be the user's."""
        for name in ("_centred", "_about_origin"):
            converted = getattr(self, name)
            if isinstance(converted, np.ndarray) and np.may_share_memory(converted, self.points.values):
                setattr(self, name, converted.copy())


def narrow(block: ColumnBlock, width: int) -> ColumnBlock:
    """The first `width` columns of a block, without converting them again."""
    if width == block.stop - block.start:
        return block
    part = ColumnBlock(block.points, block.start, block.start + width, block.exact)
    # Of packed columns a product reads as many as it has.
    centred = block._centred
    part._centred = (
        centred if centred is None or isinstance(centred, bytes_product.Packed) else centred[:width]
    )
    part._about_origin = None if block._about_origin is None else block._about_origin[:width]
    part._coordinates = None if block._coordinates is None else block._coordinates[:width]
    part._apart = None if block._apart is None else block._apart[:width]
    return part


class PairTile:
    """What `kernelfit.kernels.base.Tile` gives, from what is known of pairs, in units that keep squares in range.

    |x_i - x_j|^2 = length^2 unit (sq_norms_i + sq_norms_j - 2 dot_ij)
    <x_i, x_j>    = length'^2 unit (inner_ij + offsets_i + offsets_j) powers_i powers_j
    |x_i|^2       = length'^2 unit powers_i^2 origin_i

    with `RowVectors` for either side; length' is `length` for exact rows, 1 for others.
    """

    unit: float
    length: float
    exact: bool
    rows: RowVectors
    columns: RowVectors
    #: the column that the first row is itself, the others following, where rows and columns are of one set
    own = distances.APART

    def dot(self) -> NDArray[Any]:
        """(h, w) float32 or float64 products of centred rows, formed once for all terms of a kernel."""
        raise NotImplementedError

    def inner(self) -> NDArray[Any]:
        """(h, w) products of rows about the origin; `dot` itself where rows are exact."""
        raise NotImplementedError

    def coordinates(self) -> tuple[Float, Float]:
        """The rows (h, d) and columns (w, d) themselves, float64, in the kernel's domain."""
        raise NotImplementedError

    def apart(self) -> tuple[Float, Float, float]:
        """Rows (h, d), columns (w, d) and a factor: differences of rows times it are those in the kernel's domain."""
        return *self.coordinates(), 1.0

    def sq_distances(self, out: Float) -> float:
        sq_norms = self.rows.sq_norms, self.columns.sq_norms
        distances.sq_distances(self.dot(), *sq_norms, self.unit, out, self.own)
        if not self.exact and distances.any_close(*sq_norms, out, self.own):
            self._correct_close(out)
        return self.length

    def _correct_close(self, out: Float) -> None:
        rows, columns, factor = self.apart()
        distances.correct_close(
            self.rows.sq_norms, self.columns.sq_norms, rows, columns, factor / self.length, out, self.own
        )

    def inner_products(self, out: Float, factor: float = 1.0) -> None:
        unit = factor * self.unit
        if self.exact:
            unit = unit * self.length * self.length
        distances.inner_products(self.inner(), self.rows, self.columns, unit, out)

    def cosines(self, out: Float) -> None:
        distances.cosines(self.inner(), self.rows, self.columns, out)

    def half_tangents(self, out: Float) -> None:
        distances.half_tangents(self.inner(), self.rows, self.columns, out)
        if not self.exact and distances.any_parallel(out):
            self._correct_parallel(out)

    def _correct_parallel(self, out: Float) -> None:
        distances.correct_parallel(self.inner(), self.rows, self.columns, *self.coordinates(), out)

    def lengths(self) -> tuple[Float, Float]:
        unit = math.sqrt(self.unit) * (self.length if self.exact else 1.0)
        left, right = (np.sqrt(side.origin) * side.powers * unit for side in (self.rows, self.columns))
        return left, right

    def l1_distances(self, out: Float) -> None:
        rows, columns, factor = self.apart()
        distances.l1_distances(rows, columns, out)
        if factor != 1.0:
            out *= factor


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
        self.exact = columns.exact
        self._points, self._start, self._stop = rows, start, stop
        self._block, self._backend = columns, backend
        self._dot = dot
        self._inner: NDArray[Any] | None = None
        if rows is columns.points:
            self.own = start - columns.start
        self.unit, self.length = units(rows, columns.points, self.exact)
        self.rows = rows.row_vectors(start, stop, self.exact)
        self.columns = columns.points.row_vectors(columns.start, columns.stop, self.exact)

    @property
    def shape(self) -> tuple[int, int]:
        return self._stop - self._start, self._block.stop - self._block.start

    @property
    def _is_square(self) -> bool:
        """Whether its rows are those of its columns."""
        block = self._block
        return self._points is block.points and (self._start, self._stop) == (block.start, block.stop)

    def dot(self) -> NDArray[Any]:
        if self._dot is None:
            features = self._points.shape[1]
            chunk = chunk_length(self._points, self._block.points)
            single = self.exact and features <= chunk
            out = self._backend.scratch("dot", *self.shape, np.float32 if single else np.float64)
            if self._is_square and self._block.is_bytes_yet:
                values = self._points.values[self._start : self._stop]
                bytes_square.multiply_square(values, self._points.centre, out)
                self._dot = out
                return out
            columns = self._block.centred()
            if isinstance(columns, bytes_product.Packed):
                height = self._stop - self._start
                space = self._backend.scratch("bytes", 1, bytes_product.row_space(height, features), np.int8)
                values = self._points.values[self._start : self._stop]
                rows = bytes_product.packed_rows(values, self._points.centre, space)
                bytes_product.multiply(rows, columns, out)
            else:
                same = self._is_square
                block = columns if same else self._points.block(self._start, self._stop, self.exact)
                self._multiply(block, columns, out, chunk)
            self._dot = out
        return self._dot

    def inner(self) -> NDArray[Any]:
        if self.exact or (shares_products(self._points) and shares_products(self._block.points)):
            return self.dot()
        if self._inner is None:
            self._inner = self._backend.scratch("inner", *self.shape, np.float64)
            columns = self._block.about_origin()
            same = self._is_square
            rows = columns if same else self._points.about_origin(self._start, self._stop)
            self._multiply(rows, columns, self._inner, 0)
        return self._inner

    def _multiply(self, rows: Any, columns: Any, out: NDArray[Any], chunk: int) -> None:
        # Of all rows: the bits of K do not depend on how others are dealt out.
        few = rows is columns and len(out) == self._points.shape[0] <= floats_square.MAX_ROWS
        if few and not self.exact and not self._points.sparse:
            floats_square.multiply_square(np.ascontiguousarray(rows), out)
        else:
            inner_products(rows, columns, out, chunk)

    def coordinates(self) -> tuple[Float, Float]:
        return self._points.scaled(self._start, self._stop), self._block.coordinates()

    def apart(self) -> tuple[Float, Float, float]:
        factor = self._points.factor
        if factor == 1.0 or factor != self._block.points.factor:
            return *self.coordinates(), 1.0
        return self._points.apart(self._start, self._stop), self._block.apart(), factor

    def scratch(self, name: str) -> Float:
        return self._backend.scratch(name, *self.shape, np.float64)

    def _correct_close(self, out: Float) -> None:
        if not self._points.sparse:
            super()._correct_close(out)
            return
        rows, columns = self._sparse()
        sparse_pairs.correct_close(self.rows.sq_norms, self.columns.sq_norms, rows, columns, out)

    def _correct_parallel(self, out: Float) -> None:
        if not self._points.sparse:
            super()._correct_parallel(out)
            return
        sparse_pairs.correct_parallel(self.inner(), self.rows, self.columns, *self._sparse(), out)

    def _sparse(self) -> tuple[Any, Any]:
        columns: Any = self._block.centred()
        return self._points.block(self._start, self._stop, False), columns[: self.shape[1]]


def shares_products(points: Points) -> bool:
    """Whether one product of rows that are not exact serves distances and inner products."""
    return points.centred_as_is and points.plain


def units(rows: Points, columns: Points, exact: bool) -> tuple[float, float]:
    """`unit` and `length` of a tile between two sets of rows."""
    if not exact:
        return 1.0, columns.length
    unit = rows.scale * columns.scale
    return (unit, 1.0) if unit >= sys.float_info.min else (1.0, columns.scale)


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
