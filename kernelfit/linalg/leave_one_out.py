"""Closed-form leave-one-out from the factor.

Leaving row i out of the training set and predicting it again leaves the residual

    y_i - f_{-i}(x_i) = alpha_i / (K^-1)_ii          (Rasmussen and Williams 2006, equation 5.12)

for K + ridge I = L L^T as well. (K^-1)_ii = sum_k (L^-1)_ki^2 is summed over block columns of L^-1, which are found
by forward substitution of w columns of the identity at a time: n^3/3 flops in all, n w numbers at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.pool import CpuBackend
from kernelfit.gram.layout import PanelLayout
from kernelfit.linalg.triangular import eliminate_lower
from kernelfit.progress import Progress, Silent
from kernelfit.storage.panels import PanelStore, Piece
from kernelfit.typing import Float

# Columns of L^-1 at a time where one panel holds all of L: above them L^-1 is zero, which wide blocks do not see.
_AT_ONCE = 128


def inverse_diagonal(
    store: PanelStore, backend: CpuBackend, progress: Progress | None = None, *, at_once: int | None = None
) -> Float:
    """diag((L L^T)^-1), shape (n,), float64; `at_once` columns of L^-1 are held at a time (default: a panel's)."""
    layout = store.layout
    diagonal = np.empty(layout.n)
    with (progress or Silent()).phase("leave-one-out", layout.n**3 / 3.0, "flop") as advance:
        for j, start, stop in _parts(layout, at_once or (layout.width if layout.count > 1 else _AT_ONCE)):
            width = stop - start
            columns = np.zeros((layout.n - start, width), store.dtype)
            columns[np.arange(width), np.arange(width)] = 1.0
            for batch in store.stream(range(j, layout.count)):
                for piece in batch:
                    piece = _from(piece, start)
                    eliminate_lower(piece, columns, layout, backend, origin=start)
                    height = len(piece.below) + (len(piece.top) if piece.begins else 0)
                    advance(2.0 * height * piece.top.shape[1] * width)
            diagonal[start:stop] = _squared_column_norms(columns)
            del columns
    return diagonal


def _from(piece: Piece, start: int) -> Piece:
    """The piece without the columns before `start`, where the columns of L^-1 that begin there are zero."""
    left = start - piece.first
    if left <= 0:
        return piece
    return replace(piece, first=start, top=piece.top[left:, left:], below=piece.below[:, left:])


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
