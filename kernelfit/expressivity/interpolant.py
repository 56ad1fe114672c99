"""Theorem 1 and Lemma 1: the one-dimensional interpolant made of n hinges.

After Zhang, Bengio, Hardt, Recht, Vinyals, "Understanding deep learning requires rethinking generalization"
(2016), Section 4 and Appendix B.

Given x_1 < ... < x_n the sum  c(x) = sum_j w_j max(x - b_j, 0)  with  b_1 < x_1 < b_2 < x_2 < ... < b_n < x_n
takes any values y_1 ... y_n: the matrix A_ij = max(x_i - b_j, 0) is lower triangular with a positive
diagonal. The triangular system is never formed. With s_i the slope of c right of b_i and v_i = c(b_i),

    v_1 = 0,   s_i = (y_i - v_i) / (x_i - b_i),   v_{i+1} = y_i + s_i (b_{i+1} - x_i),   w = diff([0, s]).

All arithmetic is generic: float64 arrays, or object arrays of `fractions.Fraction` for exact results.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kernelfit.errors import InputError


def typical_gap(x: NDArray) -> object:
    """The (upper) median of the gaps of sorted `x` (n,), or 1 where n = 1, in `x`'s own number type."""
    gaps = sorted(x[1:] - x[:-1])
    return gaps[len(gaps) // 2] if gaps else x[0] - x[0] + 1


def biases(x: NDArray, theta: object, left: object) -> NDArray:
    """Biases b_i = x_{i-1} + theta (x_i - x_{i-1}) with x_0 = `left`; x (n,) sorted, result (n,)."""
    previous = np.concatenate([np.array([left], dtype=x.dtype), x[:-1]])
    return previous + theta * (x - previous)


def hinge_weights(x: NDArray, b: NDArray, y: NDArray) -> NDArray:
    """Weights w (n, c) with sum_j w_j max(x_i - b_j, 0) = y_i, by the recursion of the module's text: O(n c).

    x, b (n,) interleaved b_1 < x_1 < b_2 < ...; y (n, c). Rounding errors are multiplied by
    -(b_{i+1} - x_i) / (x_i - b_i) from one point to the next, which dies out only when the biases lie in the
    left half of their gaps (theta < 1/2). Raises InputError when the recursion leaves the range of numbers.

    NumPy equivalent: `scipy.linalg.solve_triangular(np.maximum(x[:, None] - b, 0), y, lower=True)`, which
    needs the n x n matrix.
    """
    rise = (x - b).tolist()
    run = [*(b[1:] - x[:-1]).tolist(), 0]
    columns = []
    for column in y.T:
        targets = column.tolist()
        value = targets[0] - targets[0]
        slopes = []
        for target, up, onward in zip(targets, rise, run, strict=True):
            slope = (target - value) / up
            value = target + slope * onward
            slopes.append(slope)
        columns.append(np.array(slopes, dtype=y.dtype))
    s = np.stack(columns, axis=1)
    if s.dtype != object and not np.isfinite(s).all():
        raise InputError(
            "theta: the slopes of the interpolant overflow: expected biases in the left half of their gaps; "
            "use theta < 0.5 (default 0.25)"
        )
    w = s.copy()
    w[1:] -= s[:-1]
    return w


@dataclass(frozen=True)
class Lemma1:
    """What Lemma 1 says of A_ij = max(x_i - b_j, 0), and what it does not.

    `smallest_eigenvalue` is min_i (x_i - b_i), the smallest diagonal entry: positive, so A is invertible. A
    is not symmetric, so this does *not* bound the weights; `smallest_singular_value` does:
    ||w|| <= ||y|| / smallest_singular_value.
    """

    smallest_eigenvalue: float
    smallest_singular_value: float


def lemma1(x: NDArray, b: NDArray) -> Lemma1:
    """Eigenvalue and singular value of the matrix of Lemma 1, formed densely. Raises `InputError` for n > 5,000."""
    if len(x) > 5000:
        raise InputError(
            f"x: got {len(x)} points, expected at most 5000 (the matrix is formed); pass a subset"
        )
    matrix = np.maximum(np.subtract.outer(x, b), 0).astype(np.float64)
    return Lemma1(
        smallest_eigenvalue=float(np.diag(matrix).min()),
        smallest_singular_value=float(np.linalg.svd(matrix, compute_uv=False)[-1]),
    )
