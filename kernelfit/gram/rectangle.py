"""Values of a kernel between two sets of rows as an array."""

from __future__ import annotations

import numpy as np

from kernelfit.cpu.pool import CpuBackend
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.points import Points
from kernelfit.gram.tile import ColumnBlock, evaluate
from kernelfit.kernels.base import Kernel
from kernelfit.typing import Float, Span

# Rows of a tile.
_STRIP = 512


def rectangle(kernel: Kernel, rows: Points, columns: Points, backend: CpuBackend) -> Float:
    """k(rows, columns), (m, n) float64, for rows (m, d) and columns (n, d).

    Raises `InputError` for points about different origins: one is made `like` the other.
    """
    rows.require_alike(columns)
    m, n = rows.shape[0], columns.shape[0]
    values = np.empty((m, n))
    layout, exact = PanelLayout.of_order(n), rows.exact and columns.exact
    kernel.compile()
    for j in range(layout.count):
        block = ColumnBlock(columns, layout.start(j), layout.stop(j), exact, kernel.needs)

        def fill(strip: Span, block: ColumnBlock = block) -> None:
            start, stop = strip
            tile = backend.scratch("rectangle", stop - start, block.stop - block.start, np.float64)
            evaluate(kernel, rows, start, stop, block, tile, backend)
            values[start:stop, block.start : block.stop] = tile

        backend.run(fill, [(a, min(a + _STRIP, m)) for a in range(0, m, _STRIP)])
    return values
