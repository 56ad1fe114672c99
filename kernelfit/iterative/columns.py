"""Columns of a K that is generated, in the order of tiles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.pool import CpuBackend
from kernelfit.cpu.tile_products import WIDTH
from kernelfit.gram.points import Points
from kernelfit.gram.tile import ColumnBlock, evaluate
from kernelfit.iterative.vectors import chunks_of
from kernelfit.kernels.base import Kernel


def kernel_columns(
    kernel: Kernel, points: Points, index: NDArray[np.int64], backend: CpuBackend
) -> NDArray[np.float32]:
    """k(x_i, x_j) as (chunks, b, WIDTH) float32, zeros beyond n, for the rows j in `index` (b,).

    Without the noise that a kernel has on its diagonal.
    """
    n, chunks = points.shape[0], chunks_of(points.shape[0])
    values = np.zeros((chunks, len(index), WIDTH), np.float32)
    block = ColumnBlock(points.take(index, like=points), 0, len(index), points.exact, kernel.needs)

    def fill(q: int) -> None:
        start, stop = q * WIDTH, min(n, (q + 1) * WIDTH)
        tile = backend.scratch("columns", stop - start, len(index), np.float64)
        evaluate(kernel, points, start, stop, block, tile, backend)
        values[q, :, : stop - start] = tile.T

    backend.run(fill, range(chunks))
    return values
