"""Closed-form leave-one-out from the factor.

Leaving row i out of the training set and predicting it again leaves the residual

    y_i - f_{-i}(x_i) = alpha_i / (K^-1)_ii          (Rasmussen and Williams 2006, equation 5.12)

for K + ridge I = L L^T as well. (K^-1)_ii = sum_k (L^-1)_ki^2 is summed over block columns of L^-1, which are found
by forward substitution of w columns of the identity at a time: n^3/3 flops in all, n w numbers at once.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.pool import CpuBackend
from kernelfit.gram.layout import PanelLayout
from kernelfit.linalg.triangular import eliminate_lower
from kernelfit.progress import Progress, Silent
from kernelfit.storage.panels import PanelStore
from kernelfit.typing import Float


def inverse_diagonal(
    store: PanelStore, backend: CpuBackend, progress: Progress | None = None, *, at_once: int | None = None
) -> Float:
    """diag((L L^T)^-1), shape (n,), float64; `at_once` columns of L^-1 are held at a time (default: a panel's)."""
    layout = store.layout
    diagonal = np.empty(layout.n)
    with (progress or Silent()).phase("leave-one-out", layout.n**3 / 3.0, "flop") as advance:
        for j, start, stop in _parts(layout, at_once or layout.width):
            first, width = layout.start(j), stop - start
            columns = np.zeros((layout.n - first, width), store.dtype)
            columns[np.arange(start, stop) - first, np.arange(width)] = 1.0
            for batch in store.stream(range(j, layout.count)):
                for piece in batch:
                    eliminate_lower(piece, columns, layout, backend, origin=first)
                    height = len(piece.below) + (len(piece.top) if piece.begins else 0)
                    advance(2.0 * height * piece.top.shape[1] * width)
            diagonal[start:stop] = _squared_column_norms(columns)
            del columns
    return diagonal


def _parts(layout: PanelLayout, at_once: int) -> Iterator[tuple[int, int, int]]:
    """Panel, first and last of its columns, at most `at_once` of them."""
    for j in range(layout.count):
        for start in range(layout.start(j), layout.stop(j), at_once):
            yield j, start, min(start + at_once, layout.stop(j))


def _squared_column_norms(columns: NDArray[np.floating]) -> Float:
    total = np.zeros(columns.shape[1])
    for start in range(0, len(columns), 1024):
        block = columns[start : start + 1024].astype(np.float64, copy=False)
        total += np.einsum("ij,ij->j", block, block)
    return total


def leave_one_out_predictions(targets: Float, alpha: Float, inverse: Float) -> Float:
    """f_{-i}(x_i) = y_i - alpha_i / (K^-1)_ii. Shapes (n, c), (n, c), (n,)."""
    predictions: Float = targets - alpha / inverse[:, None]
    return predictions
