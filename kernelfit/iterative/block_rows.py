"""Rows of a K that is generated, times a few vectors: tiles are formed, used and forgotten.

n b entries are formed for b rows, and n c numbers of vectors are read; no tile outlives its products. What runs of
tiles give is added up in the order of the runs: the same bits whatever the number of threads.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu import blas
from kernelfit.cpu.pool import CpuBackend
from kernelfit.cpu.tile_products import WIDTH
from kernelfit.gram.points import Points
from kernelfit.gram.tile import ColumnBlock, evaluate
from kernelfit.iterative.vectors import chunks_of
from kernelfit.kernels.base import Kernel
from kernelfit.typing import Float

# Runs of tiles, whose sums are added up in their order.
_RUNS = 24
# Columns of a tile: with the 512 rows it is 4 MB, what a second level of cache holds twice.
_COLUMNS = 1_024


def block_rows_product(
    kernel: Kernel, points: Points, index: NDArray[np.int64], vectors: Float, backend: CpuBackend
) -> Float:
    """K[index] V (b, c) for V (n, c) and rows `index` (b,), without the noise that a kernel has on its diagonal."""
    n, c = vectors.shape
    transposed = np.ascontiguousarray(vectors.T)
    chunks = chunks_of(n)
    step = -(-chunks // _RUNS)
    spans = [(a, min(a + step, chunks)) for a in range(0, chunks, step)]
    product = np.zeros((len(index), c))
    for left in range(0, len(index), _COLUMNS):
        part = index[left : left + _COLUMNS]
        block = ColumnBlock(points.take(part, like=points), 0, len(part), points.exact, kernel.needs)
        sums = np.zeros((len(spans), c, len(part)))

        def multiply(run: int, block: ColumnBlock = block, sums: Float = sums) -> None:
            for q in range(*spans[run]):
                start, stop = q * WIDTH, min(n, (q + 1) * WIDTH)
                tile = backend.scratch("rows", stop - start, sums.shape[2], np.float64)
                evaluate(kernel, points, start, stop, block, tile, backend)
                blas.gemm(1.0, transposed[:, start:stop], tile, 1.0, sums[run])

        backend.run(multiply, range(len(spans)), 2.0 * n * len(part) * (points.width + c))
        product[left : left + len(part)] = sums.sum(axis=0).T
    return product
