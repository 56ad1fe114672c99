"""What mixed precision keeps in memory between products with K, where the plan has room for it.

Refinement multiplies by K a handful of times. Forming K again costs n^2 d flops each time; stored in packed panels, K
costs its bytes only. Where inner products are exact in float32 (byte images) they are stored instead: half the bytes,
nothing lost, and the kernel's formula is applied anew to every tile.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.points import Points
from kernelfit.gram.protocol import Columns, GramSource
from kernelfit.gram.source import PanelGram, Source, mirror, set_diagonal
from kernelfit.gram.tile import ColumnBlock, KernelTile, evaluate, narrow
from kernelfit.kernels.base import Kernel, Needs
from kernelfit.progress import Progress
from kernelfit.typing import Float


def cache(
    source: GramSource, layout: PanelLayout, what: str, backend: CpuBackend, progress: Progress
) -> GramSource:
    """A source of the same K that reads from memory; `what` is `inner products` or `gram`, as `Plan.cache` says."""
    if what == "gram":
        return PanelGram(layout, _panels(source, layout, np.float64, backend, progress))
    if what == "inner products" and source.points is not None and source.kernel is not None:
        products = _panels(_InnerProducts(source, source.points), layout, np.float32, backend, progress)
        return ProductsGram(source, layout, products)
    raise InputError(f"cache: got {what!r}, expected 'gram', or 'inner products' of a K with a kernel")


def _panels(
    source: GramSource, layout: PanelLayout, dtype: Any, backend: CpuBackend, progress: Progress
) -> list[NDArray[Any]]:
    """All column panels of a source, in memory."""
    panels: list[NDArray[Any]] = []
    with progress.phase("gram", layout.elements * source.flops_per_entry, "flop") as advance:
        for j in range(layout.count):
            panel = np.empty(layout.shape(j), dtype)
            first = layout.start(j)
            columns = source.columns(first, layout.stop(j), backend)

            def fill(
                strip: tuple[int, int],
                panel: NDArray[Any] = panel,
                first: int = first,
                columns: Any = columns,
            ) -> None:
                width = min(panel.shape[1], strip[1] - first)
                columns.fill(strip[0], strip[1], panel[strip[0] - first : strip[1] - first, :width])
                advance((strip[1] - strip[0]) * width * source.flops_per_entry)

            # The tiles that products and the factor ask for, so that what is kept has the bits of what is not.
            backend.run(fill, layout.panel_strips(j))
            panels.append(panel)
    return panels


class ProductsGram(Source):
    """K_ij = k(x_i, x_j) from float32 panels of exact inner products."""

    layout: PanelLayout
    points: Points
    kernel: Kernel

    def __init__(self, source: GramSource, layout: PanelLayout, panels: list[NDArray[Any]]) -> None:
        if source.points is None or source.kernel is None:
            raise ValueError("inner products of a K that is not generated")
        self.points, self.kernel, self.layout, self.panels = source.points, source.kernel, layout, panels
        self.n = source.n
        self.flops_per_entry = 1.0
        self._diagonal = source.diagonal()

    def diagonal(self) -> Float:
        return self._diagonal

    def columns(self, start: int, stop: int, backend: CpuBackend) -> Columns:
        j = self.layout.panel_of(start)
        if (start, stop) != (self.layout.start(j), self.layout.stop(j)):
            raise ValueError(f"columns {start}:{stop} are not a panel of {self.layout}")
        return _ProductsColumns(self, j, backend)


class _ProductsColumns:
    def __init__(self, source: ProductsGram, j: int, backend: CpuBackend) -> None:
        self._source, self._backend = source, backend
        self._panel = source.panels[j]
        self._start = source.layout.start(j)
        points = source.points
        self._block = ColumnBlock(points, self._start, source.layout.stop(j), points.exact)

    def fill(self, start: int, stop: int, out: NDArray[Any]) -> None:
        source = self._source
        block = narrow(self._block, out.shape[1])
        dot = np.ascontiguousarray(self._panel[start - self._start : stop - self._start, : out.shape[1]])
        evaluate(source.kernel, source.points, start, stop, block, out, self._backend, dot)
        set_diagonal(out, start, self._start, source.diagonal())
        mirror(out, start, self._start)


class _InnerProducts(Source):
    """The centred inner products behind a kernel, as a source of their own."""

    def __init__(self, source: GramSource, points: Points) -> None:
        self._points = points
        self.n = source.n
        self.flops_per_entry = source.flops_per_entry

    def diagonal(self) -> Float:
        return self._points.vectors.sq_norms

    def columns(self, start: int, stop: int, backend: CpuBackend) -> Columns:
        return _InnerProductColumns(self._points, start, stop, backend)


class _InnerProductColumns:
    def __init__(self, points: Any, start: int, stop: int, backend: CpuBackend) -> None:
        self._points, self._backend = points, backend
        self._block = ColumnBlock(points, start, stop, points.exact, Needs.DISTANCES)

    def fill(self, start: int, stop: int, out: NDArray[Any]) -> None:
        block = narrow(self._block, out.shape[1])
        out[...] = KernelTile(self._points, start, stop, block, self._backend).dot()
