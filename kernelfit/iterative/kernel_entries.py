"""Entries of a K that is generated, in the orders in which a preconditioner wants them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.pool import CpuBackend
from kernelfit.cpu.tile_products import WIDTH
from kernelfit.gram.points import Points
from kernelfit.gram.tile import ColumnBlock, evaluate
from kernelfit.iterative.vectors import chunks_of
from kernelfit.kernels.base import Kernel
from kernelfit.typing import Float


@dataclass(frozen=True)
class KernelEntries:
    """k(x_i, x_j) of some rows, without the noise that a kernel has on its diagonal."""

    kernel: Kernel
    points: Points

    def columns(self, index: NDArray[np.int64], backend: CpuBackend) -> NDArray[np.float32]:
        """Columns `index` (b,) as (chunks, b, WIDTH) float32, zeros beyond n."""
        n, chunks = self.points.shape[0], chunks_of(self.points.shape[0])
        values = np.zeros((chunks, len(index), WIDTH), np.float32)
        block = self._block(self.points.take(index, like=self.points), 0, len(index))

        def fill(q: int) -> None:
            start, stop = q * WIDTH, min(n, (q + 1) * WIDTH)
            tile = backend.scratch("columns", stop - start, len(index), np.float64)
            evaluate(self.kernel, self.points, start, stop, block, tile, backend)
            values[q, :, : stop - start] = tile.T

        backend.run(fill, range(chunks))
        return values

    def line(self, i: int, backend: CpuBackend) -> Iterator[NDArray[Any]]:
        """The tiles 0..i of the rows i WIDTH to (i + 1) WIDTH, each until the next one is asked for."""
        n = self.points.shape[0]
        start, stop = i * WIDTH, min(n, (i + 1) * WIDTH)
        for first in range(0, stop, WIDTH):
            last = min(n, first + WIDTH)
            tile = backend.scratch("line", stop - start, last - first, np.float64)
            evaluate(
                self.kernel, self.points, start, stop, self._block(self.points, first, last), tile, backend
            )
            yield tile

    def blocks(self, index: NDArray[np.int64], backend: CpuBackend) -> Float:
        """K[index[b], index[b]] (b, s, s) for index (b, s)."""
        b, s = index.shape
        points = self.points.take(index.reshape(-1), like=self.points)
        square = backend.scratch("blocks", b * s, b * s, np.float64)
        evaluate(self.kernel, points, 0, b * s, self._block(points, 0, b * s), square, backend)
        each = np.arange(b)
        return square.reshape(b, s, b, s)[each, :, each]

    def _block(self, points: Points, start: int, stop: int) -> ColumnBlock:
        return ColumnBlock(points, start, stop, self.points.exact, self.kernel.needs)
