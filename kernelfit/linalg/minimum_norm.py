"""The primal path for a linear kernel with fewer features than rows.

K = X X^T then has rank at most d < n, and no Cholesky factor. The minimum-norm weights W = X^+ Y, X^+ the
pseudo-inverse, give the interpolant when one exists and the least-squares fit otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kernelfit.typing import Float


@dataclass(frozen=True)
class MinimumNorm:
    """Weights W (d, c) with X W = Y in the least-squares sense and |W| least; alpha (n, c) of least norm with
    W = X^T alpha; rank of X; condition number of X X^T on its range; whether X W = Y holds to rounding."""

    weights: Float
    alpha: Float
    rank: int
    condition: float
    consistent: bool
    residual: Float
    backward_error: float


def minimum_norm(rows: Float, targets: Float) -> MinimumNorm:
    """Solve by the singular value decomposition of X (n, d); singular values below n u |X| count as zero.

    The backward error of a least-squares solution is measured on the normal equations,
    |X^T R|_max / (|X|_2 (|X|_2 |W|_F + |R|_F)), R = Y - X W.
    """
    from scipy.linalg import svd

    left, values, right = svd(rows, full_matrices=False, lapack_driver="gesdd", check_finite=False)
    cut = max(rows.shape) * np.finfo(np.float64).eps * (values[0] if values.size else 0.0)
    rank = int(np.count_nonzero(values > cut))
    left, values, right = left[:, :rank], values[:rank], right[:rank]
    coordinates = left.T @ targets
    weights = right.T @ (coordinates / values[:, None])
    alpha = left @ (coordinates / values[:, None] ** 2)
    residual = targets - rows @ weights
    largest = float(values[0]) if rank else 0.0
    scale = largest * (largest * float(np.linalg.norm(weights)) + float(np.linalg.norm(residual)))
    error = float(np.abs(rows.T @ residual).max()) / scale if scale > 0 else 0.0
    size = np.abs(targets).max() + largest * float(np.abs(weights).max(initial=0.0))
    # Residuals of a consistent system are rounding errors of the products that formed them.
    consistent = bool(
        np.abs(residual).max(initial=0.0) <= 100.0 * max(rows.shape) * np.finfo(np.float64).eps * size
    )
    condition = float((values[0] / values[-1]) ** 2) if rank else float("inf")
    return MinimumNorm(weights, alpha, rank, condition, consistent, residual, error)
