"""Products with K generated afresh: K V, |K| |V| and the norm of K, without storing K."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from kernelfit.cpu import blas, few_columns
from kernelfit.cpu.jit import njit
from kernelfit.cpu.pool import CpuBackend
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.protocol import EPILOGUE, GramSource
from kernelfit.linalg.formed_product import any_negative, formed_product
from kernelfit.progress import Progress, Silent
from kernelfit.typing import Float, Span


class Product(NamedTuple):
    """K V (n, c); and where they are asked for sum_j |K_ij| (n,), and |K| |V| (n, c) of absolute values."""

    values: Float
    sums: Float = np.zeros(1)
    absolute: Float | None = None

    @property
    def norm(self) -> float:
        """|K|_1 = |K|_inf."""
        return float(_largest(np.ascontiguousarray(self.sums)))


@njit(cache=True, nogil=True, error_model="numpy")
def _largest(sums: Any) -> Any:
    """Of n >= 1 numbers; NaN where one is."""
    most = sums[0]
    for each in sums:
        most = each if each > most or each != each else most
    return most


def symmetric_product(
    source: GramSource,
    layout: PanelLayout,
    vectors: Float,
    backend: CpuBackend,
    *,
    with_norm: bool = False,
    progress: Progress | None = None,
    name: str = "certify",
    panels: Iterable[int] | None = None,
) -> Product:
    """K V for V (n, c) float64; `with_norm` also |K|_1 and |K| |V|, which bounds the rounding errors of K V.

    Only tiles of the lower triangle are formed; each serves its rows and, transposed, its columns. With `panels` only
    what these give: the sum over all panels is the product.
    """
    if layout.small and panels is None:
        return _small_product(source, vectors, backend, with_norm)
    n, c = layout.n, vectors.shape[1]
    sums = _Sums(vectors, with_norm, source.kernel is not None and source.kernel.positive)
    pairs = n * (n + 1) / 2.0
    flops_per_entry = source.flops_per_entry + 4.0 * c
    with (progress or Silent()).phase(name, pairs * flops_per_entry, "flop") as advance:
        for j in range(layout.count) if panels is None else panels:
            first, last = layout.start(j), layout.stop(j)
            columns = source.columns(first, last, backend)
            strips = layout.panel_strips(j)
            sums.begin(len(strips), last - first)

            def multiply(
                index: int,
                first: int = first,
                last: int = last,
                columns: Any = columns,
                strips: list[Span] = strips,
            ) -> None:
                start, stop = strips[index]
                width = min(last, stop) - first
                tile = backend.scratch("product", stop - start, width, np.float64)
                columns.fill(start, stop, tile)
                # Columns left of the strip's own square have their mirror image above the diagonal.
                left = min(width, start - first)
                sums.add(tile, (start, stop), first, left, index)
                advance((stop - start) * (left + 0.5 * (width - left)) * flops_per_entry)

            entries = float(n - first) * (last - first)
            backend.run(multiply, range(len(strips)), entries * (flops_per_entry + EPILOGUE))
            sums.add_mirrored(first)
    return sums.product()


def _small_product(source: GramSource, vectors: Float, backend: CpuBackend, with_norm: bool) -> Product:
    """The same of a K that is one tile."""
    n = len(vectors)
    tile = backend.scratch("product", n, n, np.float64)
    source.columns(0, n, backend).fill(0, n, tile)
    if with_norm:
        return Product(*formed_product(tile, np.ascontiguousarray(vectors)))
    return Product(np.matmul(tile, vectors))


class _Sums:
    """K V in the making, from tiles that several threads form; where they are asked for also |K| 1 and |K| |V|."""

    def __init__(self, vectors: Float, with_norm: bool, positive: bool) -> None:
        n, self._columns = vectors.shape
        self._positive = positive
        wanted = [vectors, np.ones((n, 1)), np.abs(vectors)] if with_norm else [vectors]
        self._vectors = np.hstack(wanted)
        self._sums = np.zeros_like(self._vectors)
        #: what the mirror images of a panel's tiles give, in the order of its strips
        self._parts: list[Float] = []
        self._room = np.empty((0, 0, 0))

    def begin(self, strips: int, width: int) -> None:
        """A panel of so many strips and columns; its parts take the room of those of the panel before."""
        if self._room.shape[0] < strips or self._room.shape[1] < width:
            self._room = np.empty((strips, width, self._vectors.shape[1]))
        self._parts = [self._room[index, :0] for index in range(strips)]

    def add(self, tile: Float, rows: Span, first: int, left: int, index: int) -> None:
        """Rows [start, stop) of a panel that begins at `first`; its `left` first columns serve transposed as well."""
        count = self._vectors.shape[1]
        part = self._parts[index] = self._room[index, :left]
        part[...] = 0.0
        if count == self._columns:
            self._add(tile, rows, first, index, slice(count))
        elif few_columns.few(tile, self._vectors) and (self._positive or not any_negative(tile)):
            # One pass for all; bits of a column do not depend on those beside it.
            self._add(tile, rows, first, index, slice(count))
        else:
            self._add(tile, rows, first, index, slice(self._columns))
            np.abs(tile, out=tile)
            self._add(tile, rows, first, index, slice(self._columns, count))

    def _add(self, tile: Float, rows: Span, first: int, index: int, columns: slice) -> None:
        start, stop = rows
        part = self._parts[index][:, columns]
        vectors, target = self._vectors[:, columns], self._sums[start:stop, columns]
        right, below = vectors[first : first + tile.shape[1]], vectors[start:stop]
        mirrored = tile[:, : len(part)]
        if few_columns.few(tile, vectors):
            if len(part) == tile.shape[1]:
                few_columns.add_both(tile, (right, target), (below, part))
                return
            few_columns.add_product(1.0, tile, right, target)
            if len(part):
                few_columns.add_transposed(1.0, mirrored, below, part)
            return
        blas.gemm(1.0, tile, right, 1.0, target)
        # A few rows times the tile run nearly twice as fast as the transposed tile times a few columns.
        turned = np.zeros(part.T.shape)
        blas.gemm(1.0, np.ascontiguousarray(below.T), mirrored, 0.0, turned)
        part[...] = turned.T

    def add_mirrored(self, first: int) -> None:
        """Add what the panel's mirror images gave, always in the same order."""
        for part in self._parts:
            self._sums[first : first + len(part)] += part

    def product(self) -> Product:
        c = self._columns
        if self._sums.shape[1] == c:
            return Product(self._sums)
        return Product(
            np.ascontiguousarray(self._sums[:, :c]), self._sums[:, c].copy(), self._sums[:, c + 1 :].copy()
        )
