"""The primal path for a linear kernel with fewer features than rows.

K = X X^T then has rank at most d < n, and no Cholesky factor. The minimum-norm weights W = X^+ Y, X^+ the
pseudo-inverse, give the interpolant when one exists and the least-squares fit otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernelfit.typing import Float


@dataclass(frozen=True)
class MinimumNorm:
    """Weights W (d, c) with X W = Y in the least-squares sense and |W| least; alpha (n, c) of least norm with
    W = X^T alpha; rank of X; condition number of X X^T on its range; that of W, the worst column's; whether X W = Y
    holds to rounding."""

    weights: Float
    alpha: Float
    rank: int
    condition: float
    sensitivity: float
    consistent: bool
    residual: Float
    backward_error: float


# A residual beyond this fraction of its column's largest target is no rounding error, however large the weights.
_MET = 1e-6
# Of 1 less a leverage so near 1 too few digits are left to divide by.
_HIGH = 1e-8
# What a leverage of 1 is off by, in units of max(n, d) u.
_ALONE = 10.0
# Columns that a factorisation takes together.
_BLOCK = 32


def minimum_norm(rows: Float, targets: Float) -> MinimumNorm:
    """Solve by the singular value decomposition of X (n, d); singular values below n u |X| count as zero.

    X and each column of Y are brought to unit size by powers of two first, which loses nothing: squares of either would
    over- or underflow, and a small column beside a large one would vanish. alpha, of the order of |Y| / |X|^2, may be
    infinite all the same. The backward error of a least-squares solution is measured on the normal equations, the worst
    column's |X^T r|_max / (|X|_2 (|X|_2 |w| + |r|)), r = y - X w. A change of X by e |X|_2 moves w by at most about
    e k (1 + k |r| / (|X|_2 |w|)) |w|, k = s_1 / s_r the root of `condition` (Higham, Accuracy and Stability, theorem
    20.1): that is `sensitivity`.
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
    sizes, missed = largest * np.linalg.norm(weights, axis=0), np.linalg.norm(residual, axis=0)
    scales = largest * (sizes + missed)
    gradients = np.abs(rows.T @ residual).max(axis=0)
    error = float(np.divide(gradients, scales, out=np.zeros_like(scales), where=scales > 0).max(initial=0.0))
    condition = float((values[0] / values[-1]) ** 2) if rank else float("inf")
    misfit = np.divide(missed, sizes, out=np.where(missed > 0, np.inf, 0.0), where=sizes > 0).max(initial=0.0)
    root = float(np.sqrt(condition))
    sensitivity = root * (1.0 + root * float(misfit)) if rank else float("inf")
    consistent = _is_consistent(
        residual, targets, largest * np.abs(weights).max(axis=0, initial=0.0), rows.shape
    )
    with np.errstate(over="ignore", under="ignore"):
        weights, residual = np.ldexp(weights, heights - size), np.ldexp(residual, heights)
        alpha = np.ldexp(alpha, heights - 2 * size)
    return MinimumNorm(weights, alpha, rank, condition, sensitivity, consistent, residual, error)


def left_out(rows: Float, targets: Float) -> Float:
    """f_{-i}(x_i) (n, c): what the minimum-norm weights of all other rows predict at row i; 4 n d^2 flops or so.

    y_i - (y_i - f(x_i)) / (1 - h_i), h = diag(X X^+) the leverages (Cook 1977). A row of leverage 1 lies in no span of
    the others: there y_i - alpha_i / (K^+)_ii, as for a K with an inverse, K^+ the pseudo-inverse. Rows that the others
    span, but whose size or weight leaves 1 - h_i no digits, are left out in fact: of k of these, d at most, for
    2 k log2(k) d (d + 2 c) flops or so.
    """
    rows = np.ldexp(rows, -_exponent(rows))
    residuals, high = _by_leverage(rows, targets)
    predictions: Float = targets - residuals
    if high.any():
        alone, basis = _alone(rows)
        if (high & ~alone).any():
            _leave_out(high & ~alone, _Equations(rows @ basis.T, targets), predictions)
    return predictions


def _by_leverage(rows: Float, targets: Float) -> tuple[Float, NDArray[np.bool_]]:
    """y_i - f_{-i}(x_i) (n, c), and which leverages are near 1: such rows are taken for rows in no span of others."""
    left, values, _ = _svd(rows)
    coordinates = left.T @ targets
    rest = 1.0 - np.einsum("ij,ij->i", left, left)
    high = rest <= _HIGH
    residuals = np.empty_like(targets)
    residuals[~high] = (targets[~high] - left[~high] @ coordinates) / rest[~high, None]
    whitened = left[high] / values
    residuals[high] = whitened @ (coordinates / values[:, None])
    residuals[high] /= np.einsum("ij,ij->i", whitened, whitened)[:, None]
    return residuals, high


def _alone(rows: Float) -> tuple[NDArray[np.bool_], Float]:
    """Which rows (n,) lie in no span of the others, and an orthonormal basis of all (rank, d).

    Of leverage 1 when all are of one size, which changes no span.
    """
    left, _, right = _svd(np.ldexp(rows, -np.frexp(np.abs(rows).max(axis=1, keepdims=True))[1]))
    rest = 1.0 - np.einsum("ij,ij->i", left, left)
    alone: NDArray[np.bool_] = rest <= _ALONE * max(rows.shape) * np.finfo(np.float64).eps
    return alone, right


class _Equations(NamedTuple):
    """X W = Y: rows (h, r) and their targets (h, c)."""

    rows: Float
    targets: Float

    def of(self, chosen: NDArray[Any]) -> _Equations:
        return _Equations(self.rows[chosen], self.targets[chosen])


def _leave_out(chosen: NDArray[np.bool_], equations: _Equations, predictions: Float) -> None:
    """predictions_i <- f_{-i}(x_i) of the chosen rows, by the weights of all others; rows are in coordinates of their
    span.

    Half of the k chosen rows are taken in by the triangle of all that is in already, and each of the other half is left
    out of that in the same way, then the halves change places: a row is taken in log2(k) times, at 2 r (r + 2 c) flops
    each, and log2(k) triangles R (r, r) with their Q^T Y (r, c) are held at a time.
    """
    n, rank = equations.rows.shape

    def leave_out(indices: NDArray[np.intp], triangle: _Equations) -> None:
        if len(indices) == 1:
            combined = _combined(triangle.rows, equations.rows[indices[0]], n)
            predictions[indices] = combined @ triangle.targets
            return
        one, other = np.array_split(indices, 2)
        leave_out(one, _taken_in(triangle, equations.of(other)))
        leave_out(other, _taken_in(triangle, equations.of(one)))

    columns = equations.targets.shape[1]
    nothing = _Equations(np.zeros((rank, rank), order="F"), np.zeros((rank, columns), order="F"))
    leave_out(np.flatnonzero(chosen), _taken_in(nothing, equations.of(~chosen)))


def _taken_in(triangle: _Equations, more: _Equations) -> _Equations:
    """R' with R'^T R' = R^T R + X^T X, and Z' with R'^T Z' = R^T Z + X^T Y, without those products: a QR factorisation
    of R above X, whose part of the targets that no weights meet is left."""
    from scipy.linalg.lapack import dtpmqrt, dtpqrt

    if not len(more.rows):
        return triangle
    taken, reflectors, blocks, _ = dtpqrt(0, min(_BLOCK, len(triangle.rows)), triangle.rows, more.rows)
    turned = dtpmqrt(0, reflectors, blocks, triangle.targets, more.targets, trans="T")[0]
    return _Equations(taken, turned)


def _combined(triangle: Float, row: Float, n: int) -> Float:
    """v with v^T Z = x^T W, R W = Z: R^T v = x; W and v are of least norm where R, of n rows, is singular to working
    precision."""
    from scipy.linalg.lapack import dgecon, dtrtrs

    # R is its own LU factorisation.
    inverse_condition = dgecon(triangle, np.abs(triangle).sum(axis=0).max())[0]
    if inverse_condition <= _ALONE * n * np.finfo(np.float64).eps:
        return minimum_norm(triangle.T, row[:, None]).weights[:, 0]
    solution: Float = dtrtrs(triangle, row, trans=1)[0]
    return solution


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
