"""The norm of ridge regression's weights on explicit features, strip of rows by strip, with a bound of its error."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kernelfit.typing import Float

_ROUNDOFF = 0.5 * float(np.finfo(np.float64).eps)
# Rows whose features are factored at a time, at least.
_STRIP = 1_024


def weight_norms(
    features: Callable[[int, int], Float], largest: float, targets: Float, ridge: float
) -> tuple[Float, Float]:
    """|w_c| (c,) of w = (Z^T Z + ridge I)^-1 Z^T y, and a bound of its error (c,), infinite where w is not known.

    `features(start, stop)` are rows of Z (n, D), the longest of length `largest`; targets (n, c). Z = Q R strip
    by strip of its rows, with Q^T Y beside it, then R = U S V^T. A change dZ of Z moves w by
    |dZ| (|y - Z w| / (s_min^2 + ridge) + |w| max_j s_j / (s_j^2 + ridge)). Without a ridge singular values below
    n u |Z| are rounding: what they divide of y is not known, and w neither, unless y has nothing there. Features that
    are zero in every row have no part in w, and are left out.
    """
    n, c = targets.shape
    power = int(np.frexp(largest)[1])
    with np.errstate(over="ignore", under="ignore"):
        ridge = float(np.ldexp(ridge, -2 * power))
    if not np.isfinite(ridge):  # beside which Z is nothing
        return np.zeros(c), np.full(c, np.inf)
    triangle = _triangle(features, power, targets)
    d = triangle.shape[1] - c
    if not (there := triangle[:, :d].any(axis=0)).all():  # QR leaves zero columns zero
        triangle = np.asarray(np.linalg.qr(triangle[:, np.append(there, np.ones(c, bool))], mode="r"))
        d = triangle.shape[1] - c
    left, values, _ = np.linalg.svd(triangle[:d, :d], full_matrices=False)
    used = values > (0.0 if ridge > 0 else n * 2 * _ROUNDOFF * values.max(initial=0.0))
    unknown = (left[:, ~used].T @ triangle[:d, d:]).any(axis=0)
    left, values = left[:, used], values[used]
    if not values.size:
        return np.zeros(c), np.where(unknown, np.inf, 0.0)
    shrunk = values**2 + ridge
    weights = (values / shrunk)[:, None] * (left.T @ triangle[:d, d:])
    rest = triangle[:, d:].copy()
    rest[:d] -= left @ (values[:, None] * weights)
    sizes, residuals = np.linalg.norm(weights, axis=0), np.linalg.norm(rest, axis=0)
    moved = (8.0 + np.sqrt(n)) * 2 * _ROUNDOFF * values[0]
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        errors = moved * (residuals / shrunk.min() + sizes * (values / shrunk).max())
        errors = np.nan_to_num(np.ldexp(errors, -power), nan=np.inf, posinf=np.inf)
        return np.ldexp(sizes, -power), np.where(unknown, np.inf, errors)


def _triangle(features: Callable[[int, int], Float], power: int, targets: Float) -> Float:
    """[R, Q^T Y] of 2^-power Z = Q R."""
    n, d = len(targets), features(0, 0).shape[1]
    triangle: Float = np.zeros((0, d + targets.shape[1]))
    height = max(_STRIP, d)
    for start in range(0, n, height):
        stop = min(start + height, n)
        strip = np.hstack([np.ldexp(features(start, stop), -power), targets[start:stop]])
        triangle = np.asarray(np.linalg.qr(np.vstack([triangle, strip]), mode="r"))
    return triangle
