"""What mixed precision keeps in memory between products with K, where the plan has room for it.

Refinement multiplies by K a handful of times. Forming K again costs n^2 d flops each time; kept in packed panels, K
costs its bytes only. Where inner products are exact in float32 (byte images) they are kept instead: half the bytes,
nothing lost, and the kernel's formula is applied anew to every tile.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.source import Columns, GramSource, KernelGram, PanelGram, Source, mirror, set_diagonal
from kernelfit.gram.tile import ColumnBlock, KernelTile, evaluate, narrow
from kernelfit.progress import Progress
from kernelfit.typing import Float


def cache(
    source: GramSource, layout: PanelLayout, what: str, backend: CpuBackend, progress: Progress
) -> GramSource:
    """A source of the same K that reads from memory; `what` is `inner products` or `gram`, as `Plan.cache` says."""
    if what == "gram":
        return PanelGram(layout, _panels(source, layout, np.float64, backend, progress))
    if what == "inner products" and isinstance(source, KernelGram):
        products = _InnerProducts(source)
        return ProductsGram(source, layout, _panels(products, layout, np.float32, backend, progress))
    raise InputError(
        f"cache: got {what!r} for {type(source).__name__}, expected 'gram' or 'inner products' of a kernel"
    )


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

    def __init__(self, gram: KernelGram, layout: PanelLayout, panels: list[NDArray[Any]]) -> None:
        self.gram, self.layout, self.panels = gram, layout, panels
        self.n = gram.n
        self.flops_per_entry = 1.0

    def diagonal(self) -> Float:
        return self.gram.diagonal()

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
        points = source.gram.points
        self._block = ColumnBlock(points, self._start, source.layout.stop(j), points.exact, convert=False)

    def fill(self, start: int, stop: int, out: NDArray[Any]) -> None:
        gram = self._source.gram
        block = narrow(self._block, out.shape[1])
        dot = np.ascontiguousarray(self._panel[start - self._start : stop - self._start, : out.shape[1]])
        evaluate(gram.kernel, gram.points, start, stop, block, out, self._backend, dot)
        set_diagonal(out, start, self._start, gram.diagonal())
        mirror(out, start, self._start)


class _InnerProducts(Source):
    """The centred inner products behind a kernel, as a source of their own."""

    def __init__(self, gram: KernelGram) -> None:
        self._points = gram.points
        self.n = gram.n
        self.flops_per_entry = gram.flops_per_entry

    def diagonal(self) -> Float:
        return self._points.sq_norms

    def columns(self, start: int, stop: int, backend: CpuBackend) -> Columns:
        return _InnerProductColumns(self._points, start, stop, backend)


class _InnerProductColumns:
    def __init__(self, points: Any, start: int, stop: int, backend: CpuBackend) -> None:
        self._points, self._backend = points, backend
        self._block = ColumnBlock(points, start, stop, points.exact)

    def fill(self, start: int, stop: int, out: NDArray[Any]) -> None:
        block = narrow(self._block, out.shape[1])
        out[...] = KernelTile(self._points, start, stop, block, self._backend).dot()
