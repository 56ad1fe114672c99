"""Products with K generated afresh: K V and the norm of K, without storing K."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from kernelfit.cpu import blas
from kernelfit.cpu.pool import CpuBackend
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.protocol import GramSource
from kernelfit.progress import Progress, Silent
from kernelfit.typing import Float, Span


def symmetric_product(
    source: GramSource,
    layout: PanelLayout,
    vectors: Float,
    backend: CpuBackend,
    *,
    with_norm: bool = False,
    progress: Progress | None = None,
    name: str = "certify",
) -> tuple[Float, float]:
    """K V (n, c) for V (n, c) float64, and |K|_1 = |K|_inf where asked for (0 otherwise).

    Only tiles of the lower triangle are formed; each serves its rows and, transposed, its columns.
    """
    n = layout.n
    product = np.zeros_like(vectors)
    sums = np.zeros(n)
    transposed = np.ascontiguousarray(vectors.T)
    pairs = n * (n + 1) / 2.0
    flops_per_entry = source.flops_per_entry + 4.0 * vectors.shape[1]
    with (progress or Silent()).phase(name, pairs * flops_per_entry, "flop") as advance:
        for j in range(layout.count):
            first, last = layout.start(j), layout.stop(j)
            columns = source.columns(first, last, backend)
            strips = layout.panel_strips(j)
            parts: list[Any] = [None] * len(strips)

            def multiply(
                index: int,
                first: int = first,
                last: int = last,
                columns: Any = columns,
                strips: list[Span] = strips,
                parts: list[Any] = parts,
            ) -> None:
                start, stop = strips[index]
                width = min(last, stop) - first
                tile = backend.scratch("product", stop - start, width, np.float64)
                columns.fill(start, stop, tile)
                blas.gemm(1.0, tile, vectors[first : first + width], 1.0, product[start:stop])
                # Columns left of the strip's own square have their mirror image above the diagonal.
                left = min(width, start - first)
                # A few rows times the tile run nearly twice as fast as the transposed tile times a few columns.
                part = np.zeros((vectors.shape[1], left))
                blas.gemm(1.0, transposed[:, start:stop], tile[:, :left], 0.0, part)
                column_sums = np.zeros(left)
                if with_norm:
                    _absolute_sums(tile, left, sums[start:stop], column_sums)
                parts[index] = (part, column_sums)
                advance((stop - start) * (left + 0.5 * (width - left)) * flops_per_entry)

            backend.run(multiply, range(len(strips)))
            for part, column_sums in parts:
                product[first : first + len(column_sums)] += part.T
                sums[first : first + len(column_sums)] += column_sums
    return product, float(sums.max()) if with_norm else 0.0


@njit(cache=True, nogil=True)
def _absolute_sums(tile: Any, left: int, row_sums: Any, column_sums: Any) -> None:
    for i in range(tile.shape[0]):
        total = 0.0
        for j in range(left):
            value = abs(tile[i, j])
            total += value
            column_sums[j] += value
        for j in range(left, tile.shape[1]):
            total += abs(tile[i, j])
        row_sums[i] += total
