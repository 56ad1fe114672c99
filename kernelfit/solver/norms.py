"""The RKHS norm |f_c| of f = sum_i alpha_i k(x_i, .), with a bound of its rounding error.

|f|^2 = alpha^T K alpha is formed from K alpha, which is known to about u |K| |alpha|. Where K has no rank to speak of
and the ridge is small, alpha is of the order |y| / ridge in directions that K does not see, and u |alpha|^T |K| |alpha|
is larger than |f|^2. No other form of entries of K does better: a change of K by its own rounding changes |f|^2 by as
much. The linear kernel's K = X X^T comes from fewer numbers than it has: there |f| = |w| with the weights w of the
ridge regression on X itself, from its singular values.
"""

from __future__ import annotations

import numpy as np

from kernelfit.gram.points import Points
from kernelfit.solver.system import System
from kernelfit.typing import Float

_ROUNDOFF = 0.5 * float(np.finfo(np.float64).eps)
#: a linear kernel's norm whose relative error may be larger is formed from weights as well
_WANTED = 1e-6
#: a norm whose relative error may be larger has no digit
UNRESOLVED = 0.5
# Rows whose features are factored at a time, at least.
_STRIP = 1_024


def function_norms(
    system: System, targets: Float, alpha: Float, fitted: Float, absolute: Float | None, norm: float
) -> tuple[Float, Float]:
    """|f_c| (c,), NaN where no digit of it holds, and a bound of its relative error (c,).

    `fitted` is K alpha (n, c), `absolute` |K| |alpha| (n, c) or None where it is not known, `norm` |K + ridge I|_1.
    """
    ridge = system.problem.ridge
    sizes, residual = np.abs(alpha), np.abs(targets - fitted - ridge * alpha)
    spread = norm * sizes if absolute is None else absolute + ridge * sizes
    unit = rounding(len(alpha))
    squares = np.einsum("ij,ij->j", alpha, fitted)
    # What alpha does not meet of the targets changes |f|^2 by twice its product with alpha.
    lost = np.einsum("ij,ij->j", sizes, unit * spread + 2.0 * residual)
    if ridge > 0:
        # The same change is 2 (A^-1 K alpha)^T (y - A alpha), |A^-1| <= 1 / ridge: far less where the ridge is large.
        formed = np.einsum("ij,ij->j", sizes, unit * np.maximum(spread - ridge * sizes, 0.0))
        missed = 2.0 * np.linalg.norm(residual + unit * spread, axis=0)
        lost = np.minimum(lost, formed + np.linalg.norm(fitted, axis=0) * missed / ridge)
    errors = _relative(lost, squares)
    kernel, points = system.problem.kernel, system.problem.points
    if kernel is not None and points is not None and kernel.linear and (errors > _WANTED).any():
        others, their_errors = _of_weights(points, targets, ridge)
        better = their_errors < errors
        squares, errors = np.where(better, others, squares), np.where(better, their_errors, errors)
    # A relative error e of the square is one of e / 2 of the norm, where e is small.
    errors = np.where(np.isfinite(squares), 0.5 * errors, np.inf)
    norms = np.where(errors < UNRESOLVED, np.sqrt(np.maximum(squares, 0.0)), np.nan)
    return norms, errors


def rounding(n: int) -> float:
    """What a sum of n products loses beside the sum of their absolute values: errors are random, so that sqrt(n) u."""
    return (8.0 + np.sqrt(n)) * _ROUNDOFF


def _of_weights(points: Points, targets: Float, ridge: float) -> tuple[Float, Float]:
    """|w_c|^2 (c,) of ridge regression w = (X^T X + ridge I)^-1 X^T y on the rows X, and a bound of its relative error.

    X = Q R strip by strip of its rows, with Q^T Y beside it, then R = U S V^T; singular values below n u |X| count as
    zero. A change dX of X moves w by |dX| (|y - X w| / (s_min^2 + ridge) + |w| max_j s_j / (s_j^2 + ridge)).
    """
    n, d = points.shape
    power = int(np.frexp(np.sqrt(points.domain_sq_norms.max(initial=0.0)))[1])
    with np.errstate(over="ignore", under="ignore"):
        ridge = float(np.ldexp(ridge, -2 * power))
    if not np.isfinite(ridge):  # beside which K is nothing
        return np.zeros(targets.shape[1]), np.full(targets.shape[1], np.inf)
    triangle: Float = np.zeros((0, d + targets.shape[1]))
    height = max(_STRIP, d)
    for start in range(0, n, height):
        stop = min(start + height, n)
        strip = np.hstack([np.ldexp(points.scaled(start, stop), -power), targets[start:stop]])
        triangle = np.asarray(np.linalg.qr(np.vstack([triangle, strip]), mode="r"))
    left, values, _ = np.linalg.svd(triangle[:d, :d], full_matrices=False)
    used = values > n * 2 * _ROUNDOFF * values.max(initial=0.0)
    left, values = left[:, used], values[used]
    if not values.size:
        return np.zeros(targets.shape[1]), np.zeros(targets.shape[1])
    inner = left.T @ triangle[:d, d:]
    shrunk = values**2 + ridge
    weights = (values / shrunk)[:, None] * inner
    rest = triangle[:, d:].copy()
    rest[:d] -= left @ (values[:, None] * weights)
    sizes, residuals = np.linalg.norm(weights, axis=0), np.linalg.norm(rest, axis=0)
    moved = (8.0 + np.sqrt(n)) * 2 * _ROUNDOFF * values[0]
    errors = moved * (residuals / shrunk.min() + sizes * (values / shrunk).max())
    with np.errstate(over="ignore", under="ignore"):
        return np.ldexp(sizes, -power) ** 2, 2.0 * _relative(errors, sizes)


def _relative(errors: Float, squares: Float) -> Float:
    """errors / squares; 0 where both are 0, infinite where the square is not positive."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratios = np.where(squares > 0, errors / squares, np.where(errors > 0, np.inf, 0.0))
    return np.nan_to_num(ratios, nan=np.inf, posinf=np.inf)
