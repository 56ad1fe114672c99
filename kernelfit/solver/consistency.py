"""A stored solution that contradicts itself is damaged or forged, whatever checksum it has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import DataError
from kernelfit.gram.points import Points
from kernelfit.gram.rectangle import rectangle
from kernelfit.kernels.base import Kernel, Needs
from kernelfit.solver.certificate import Certificate
from kernelfit.solver.problem import Problem
from kernelfit.typing import Float

# Pairs of rows that are looked at, and rows at least.
_SAMPLED_PAIRS, _MIN_SAMPLED = 2**16, 4
# Rows whose pairs are formed at a time for those of rows and themselves.
_BLOCK = 16
# Residuals that differ by less, beside their parts, are equal; fitted values, beside |A| |alpha|, likewise.
_EQUAL, _ROUNDED = 1e-14, 1e-12


def require_consistent(
    path: Path,
    problem: Problem,
    certificate: Certificate,
    alpha: Float,
    fitted: Float,
    weights: Float | None,
    evaluate: Callable[[Points], Float],
) -> None:
    """Raise `DataError` where what is stored contradicts itself: alpha, weights, rows and kernel give other fitted
    values than those that are stored, as seen in some rows, or these leave another residual.

    A forged file has the checksum that it should have; and a function that was given again may be another one.
    """
    if len(certificate.rkhs_norm_per_column) != alpha.shape[1]:
        raise DataError(
            f"{path}: has {len(certificate.rkhs_norm_per_column)} norms of {alpha.shape[1]} columns, it is damaged or "
            "forged"
        )
    with np.errstate(all="ignore"):
        rounding = _rounding(problem, alpha, fitted)
        residual = float(np.abs(problem.targets - fitted - problem.ridges * alpha).max())
        if not abs(residual - certificate.residual) <= rounding + _EQUAL * certificate.residual:
            raise DataError(
                f"{path}: its residual is {residual:.3g}, the certificate says {certificate.residual:.3g}; it is "
                "damaged or forged"
            )
        if not reproduces(problem, certificate, alpha, fitted, weights, evaluate):
            raise DataError(
                f"{path}: alpha does not give the fitted values that are stored; it is damaged or forged, or the "
                "function is another one"
            )


def reproduces(
    problem: Problem,
    certificate: Certificate,
    alpha: Float,
    fitted: Float,
    weights: Float | None,
    evaluate: Callable[[Points], Float],
) -> bool:
    """Whether alpha, or weights, and the kernel as it is now give the fitted values, as seen in some rows; of a Gram
    matrix nobody knows."""
    points, kernel = problem.points, problem.kernel
    if points is None or kernel is None:
        return True
    n = len(alpha)
    with np.errstate(all="ignore"):
        sampled = min(n, max(_MIN_SAMPLED, _SAMPLED_PAIRS // n))
        rows = np.unique(np.linspace(0, n - 1, sampled, dtype=np.int64))
        sample = points.take(rows, like=points)
        again = evaluate(sample)
        if Needs.FUNCTION in kernel.needs:
            again = again + _beside_diagonal(kernel, sample)[:, None] * alpha[rows]
        size = certificate.norm * np.abs(alpha).max()
        if weights is not None:
            of_weights = np.sqrt(certificate.norm * points.shape[1]) * np.abs(weights).max()
            # Fitted values of targets with a ridge are K alpha.
            size = of_weights if problem.ridge_per_target is None else max(size, of_weights)
        return bool(np.abs(again - fitted[rows]).max() <= _ROUNDED * size + _rounding(problem, alpha, fitted))


def _rounding(problem: Problem, alpha: Float, fitted: Float) -> float:
    """What the sum of targets, fitted values and ridges times alpha loses."""
    parts = problem.targets, fitted, problem.ridges * alpha
    return _EQUAL * max(float(np.abs(part).max()) for part in parts)


def _beside_diagonal(kernel: Kernel, rows: Points) -> Float:
    """What the diagonal of K has at these rows that predictions do without, (m,): noise, or what a kernel of
    scikit-learn's loses between equal rows, however little."""
    predicted = np.empty(rows.shape[0])
    with CpuBackend(None) as backend:
        for start in range(0, len(predicted), _BLOCK):
            block = rows.take(np.arange(start, min(start + _BLOCK, len(predicted))), like=rows)
            predicted[start : start + _BLOCK] = rectangle(kernel, block, block, backend).diagonal()
    return kernel.diagonal(rows) - predicted
