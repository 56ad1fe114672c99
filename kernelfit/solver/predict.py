"""Predictions on the CPU: k(rows, training rows) alpha, strip by strip, without the factor."""

from __future__ import annotations

import numpy as np

from kernelfit.cpu import blas
from kernelfit.cpu.pool import CpuBackend
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.points import Points
from kernelfit.gram.tile import ColumnBlock, evaluate
from kernelfit.kernels.base import Kernel
from kernelfit.progress import Progress
from kernelfit.typing import Float, Span

# Rows of a strip of test points.
_STRIP = 512


def predict(
    kernel: Kernel, points: Points, rows: Points, alpha: Float, backend: CpuBackend, progress: Progress
) -> Float:
    """k(rows, points) alpha: (m, c) for rows (m, d), points (n, d) and alpha (n, c)."""
    m, n = rows.shape[0], points.shape[0]
    values = np.zeros((m, alpha.shape[1]))
    layout = PanelLayout.of_order(n)
    exact = rows.exact and points.exact
    kernel.compile()
    with progress.phase("predict", float(m) * n, "entries") as advance:
        for j in range(layout.count):
            columns = ColumnBlock(points, layout.start(j), layout.stop(j), exact, kernel.needs)

            def accumulate(strip: Span, columns: ColumnBlock = columns) -> None:
                start, stop = strip
                tile = backend.scratch("predict", stop - start, columns.stop - columns.start, np.float64)
                evaluate(kernel, rows, start, stop, columns, tile, backend)
                blas.gemm(1.0, tile, alpha[columns.start : columns.stop], 1.0, values[start:stop])
                advance(float(stop - start) * (columns.stop - columns.start))

            backend.run(accumulate, strips_of(m))
    return values


def strips_of(m: int) -> list[Span]:
    """[0, m) in strips."""
    return [(a, min(a + _STRIP, m)) for a in range(0, m, _STRIP)]
