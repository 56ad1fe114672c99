"""Sample weights: row i counts w_i times in the data term, sum_c sum_i w_i (y_ic - f_c(x_i))^2 + ridge |f|^2.

Setting the gradient to zero gives (K + ridge W^-1) alpha = Y: a weight is a ridge of its own for each row. K stays
symmetric, and with it the factor, the certificate and leave-one-out. scikit-learn's `KernelRidge` solves the same as
(W^1/2 K W^1/2 + ridge I) beta = W^1/2 Y, alpha = W^1/2 beta. Without a ridge f meets every y_i, whatever the weights; a
row of weight 0 has no part in the solve, with a ridge or without.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError
from kernelfit.gram.arrays import as_array, exact_floats
from kernelfit.gram.protocol import Columns, GramSource
from kernelfit.gram.source import Source
from kernelfit.typing import Array, Float


def as_weights(sample_weight: ArrayLike | None, n: int) -> Float | None:
    """w (n,) float64, a number standing for n equal ones; None where none are given. Raises `InputError`."""
    if sample_weight is None:
        return None
    array = as_array(sample_weight, "sample_weight")
    if array.dtype.kind not in "buif":
        raise InputError(f"sample_weight: got dtype {array.dtype}, expected numbers >= 0")
    if array.ndim == 0:
        array = np.full(n, array)
    if array.shape != (n,):
        raise InputError(f"sample_weight: got shape {array.shape}, expected ({n},), one for each row of X")
    weights: Float = exact_floats(array, "sample_weight").astype(np.float64)
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if bad.size:
        raise InputError(
            f"sample_weight: got {weights[bad[0]]} at row {bad[0]}, expected finite numbers >= 0"
        )
    if not weights.any():
        raise InputError("sample_weight: got zeros only, expected at least one row of weight > 0")
    least, largest = weights[weights > 0].min(), weights.max()
    if least / largest == 0:  # rows are multiplied by the roots of such ratios, and divided again
        raise InputError(
            f"sample_weight: got weights from {least:.3g} to {largest:.3g}, expected a ratio that float64 holds; bring "
            "them nearer to each other, or make the least of them 0"
        )
    return weights


class WeightedGram(Source):
    """W^1/2 K W^1/2: leave-one-out residuals of it and W^1/2 Y are w_i^1/2 times those of K + ridge W^-1 and Y."""

    def __init__(self, source: GramSource, weights: Float) -> None:
        self._source, self._weights, self.weights = source, weights, weights
        self._roots = np.sqrt(weights)
        self.n, self.flops_per_entry, self.layout = source.n, source.flops_per_entry + 2.0, source.layout

    def diagonal(self) -> Float:
        return self._source.diagonal() * self._weights

    def columns(self, start: int, stop: int, backend: CpuBackend) -> Columns:
        return _WeightedColumns(self._source.columns(start, stop, backend), self._roots, start)

    def subset(self, rows: NDArray[np.int64], backend: CpuBackend) -> GramSource:
        return WeightedGram(self._source.subset(rows, backend), self._weights[rows])


class _WeightedColumns:
    def __init__(self, columns: Columns, roots: Float, start: int) -> None:
        self._columns, self._roots, self._start = columns, roots, start

    def fill(self, start: int, stop: int, out: Array) -> None:
        self._columns.fill(start, stop, out)
        # One product for both roots, so that the two triangles are rounded alike.
        out *= np.outer(self._roots[start:stop], self._roots[self._start : self._start + out.shape[1]])
