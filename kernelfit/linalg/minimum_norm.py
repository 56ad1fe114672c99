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


# A residual beyond this fraction of its column's largest target is no rounding error, however large the weights.
_MET = 1e-6
# A leverage within this of 1 is 1: such a row lies in no span of the others.
_ALONE = 1e-8


def minimum_norm(rows: Float, targets: Float) -> MinimumNorm:
    """Solve by the singular value decomposition of X (n, d); singular values below n u |X| count as zero.

    X and each column of Y are brought to unit size by powers of two first, which loses nothing: squares of either would
    over- or underflow, and a small column beside a large one would vanish. alpha, of the order of |Y| / |X|^2, may be
    infinite all the same. The backward error of a least-squares solution is measured on the normal equations, the worst
    column's |X^T r|_max / (|X|_2 (|X|_2 |w| + |r|)), r = y - X w.
    """
    size, heights = _exponent(rows), np.frexp(np.abs(targets).max(axis=0, initial=0.0))[1]
    rows, targets = np.ldexp(rows, -size), np.ldexp(targets, -heights)
    left, values, right = _svd(rows)
    rank = len(values)
    coordinates = left.T @ targets
    weights = right.T @ (coordinates / values[:, None])
    alpha = left @ (coordinates / values[:, None] ** 2)
    residual = targets - rows @ weights
    largest = float(values[0]) if rank else 0.0
    scales = largest * (largest * np.linalg.norm(weights, axis=0) + np.linalg.norm(residual, axis=0))
    gradients = np.abs(rows.T @ residual).max(axis=0)
    error = float(np.divide(gradients, scales, out=np.zeros_like(scales), where=scales > 0).max(initial=0.0))
    condition = float((values[0] / values[-1]) ** 2) if rank else float("inf")
    consistent = _is_consistent(
        residual, targets, largest * np.abs(weights).max(axis=0, initial=0.0), rows.shape
    )
    with np.errstate(over="ignore", under="ignore"):
        weights, residual = np.ldexp(weights, heights - size), np.ldexp(residual, heights)
        alpha = np.ldexp(alpha, heights - 2 * size)
    return MinimumNorm(weights, alpha, rank, condition, consistent, residual, error)


def left_out(rows: Float, targets: Float) -> Float:
    """f_{-i}(x_i) (n, c): what the minimum-norm weights of all other rows predict at row i; 4 n d^2 flops or so.

    y_i - (y_i - f(x_i)) / (1 - h_i), h = diag(X X^+) the leverages (Cook 1977). A row of leverage 1 lies in no span of
    the others: there y_i - alpha_i / (K^+)_ii, as for a K with an inverse, K^+ the pseudo-inverse.
    """
    left, values, _ = _svd(np.ldexp(rows, -_exponent(rows)))
    coordinates = left.T @ targets
    rest = 1.0 - np.einsum("ij,ij->i", left, left)
    alone = rest <= _ALONE
    residuals = np.empty_like(targets)
    spanned = ~alone
    residuals[spanned] = (targets[spanned] - left[spanned] @ coordinates) / rest[spanned, None]
    whitened = left[alone] / values
    residuals[alone] = (whitened @ (coordinates / values[:, None])) / np.einsum(
        "ij,ij->i", whitened, whitened
    )[:, None]
    predictions: Float = targets - residuals
    return predictions


def _svd(rows: Float) -> tuple[Float, Float, Float]:
    """Left singular vectors, singular values and right ones, of those above n u |X|."""
    from scipy.linalg import svd

    left, values, right = svd(rows, full_matrices=False, lapack_driver="gesdd", check_finite=False)
    cut = max(rows.shape) * np.finfo(np.float64).eps * (values[0] if values.size else 0.0)
    rank = int(np.count_nonzero(values > cut))
    return left[:, :rank], values[:rank], right[:rank]


def _is_consistent(residual: Float, targets: Float, products: Float, shape: tuple[int, ...]) -> bool:
    """Whether every column's residual is a rounding error of X W, of size `products` (c,), and small beside its Y.

    Weights that cancel make rounding errors of X W as large as Y itself: such a system has no solution in float64.
    """
    top, height = np.abs(residual).max(axis=0), np.abs(targets).max(axis=0)
    rounding = 100.0 * max(shape) * np.finfo(np.float64).eps * (height + products)
    return bool((top <= np.minimum(rounding, _MET * height)).all())


def _exponent(values: Float) -> int:
    """e with the largest entry in [2^(e-1), 2^e)."""
    return int(np.frexp(np.abs(values).max(initial=0.0))[1])
