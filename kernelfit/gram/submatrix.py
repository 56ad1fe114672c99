"""Some rows and columns of K as an array."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.protocol import Columns, GramSource
from kernelfit.typing import Float

# Rows and columns mirrored at a time.
_BLOCK = 512


def submatrix(source: GramSource, rows: NDArray[np.int64], backend: CpuBackend) -> Float:
    """K[rows, rows] as an array (m, m), both triangles, for ascending rows (m,)."""
    if np.any(np.diff(rows) <= 0):
        raise InputError(
            "rows: got row numbers that do not ascend, expected each once and in order; sort them"
        )
    layout = source.layout or PanelLayout.of_order(source.n)
    part = np.empty((len(rows), len(rows)))
    for j in range(layout.count):
        first, last = layout.start(j), layout.stop(j)
        left, right = np.searchsorted(rows, (first, last))
        if left == right:
            continue
        columns = source.columns(first, last, backend)

        def copy(
            strip: tuple[int, int],
            first: int = first,
            last: int = last,
            left: Any = left,
            right: Any = right,
            columns: Columns = columns,
        ) -> None:
            top, bottom = np.searchsorted(rows, strip)
            if top == bottom:
                return
            tile = backend.scratch("submatrix", strip[1] - strip[0], last - first, np.float64)
            columns.fill(strip[0], strip[1], tile)
            part[top:bottom, left:right] = tile[np.ix_(rows[top:bottom] - strip[0], rows[left:right] - first)]

        backend.run(copy, layout.strips(first))
    _mirror(part)
    return part


def _mirror(matrix: Float) -> None:
    """Fill the upper triangle from the lower one, in place."""
    n = len(matrix)
    for start in range(0, n, _BLOCK):
        stop = min(start + _BLOCK, n)
        square = matrix[start:stop, start:stop]
        square[...] = np.tril(square) + np.tril(square, -1).T
        matrix[start:stop, stop:] = matrix[stop:, start:stop].T
