"""The RKHS norm |f_c| of f = sum_i alpha_i k(x_i, .), with a bound of its rounding error.

|f|^2 = alpha^T K alpha is formed from K alpha, which is known to about u |K| |alpha|. Where K has no rank to speak of
and the ridge is small, alpha is of the order |y| / ridge in directions that K does not see, and u |alpha|^T |K| |alpha|
is larger than |f|^2. No other form of entries of K does better, neither |L^-1 y|^2 nor y^T alpha: a change of K by its
own rounding changes |f|^2 by as much. Kernels of finitely many features z (linear, polynomial, cosine, their sums and
products) come from fewer numbers than K has: there |f| = |w| with the weights w of the ridge regression on z itself,
which are known to |w| times the root of K's condition number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kernelfit.cpu.jit import njit
from kernelfit.linalg.ridge_weights import weight_norms
from kernelfit.solver.measures import Measures, relative, resolved, rounding
from kernelfit.solver.problem import Problem
from kernelfit.solver.scaling import exponents, scaled
from kernelfit.solver.system import System
from kernelfit.typing import Float

#: a norm whose square's relative error may be larger is formed from weights as well
WANTED = 1e-6
# Features that are written down: R of so many takes 134 MB. Work that is allowed beside the factor's n^3 / 3.
_MOST_FEATURES, _SMALL_WORK = 4_096, 1e9


def function_norms(
    system: System,
    targets: Float,
    alpha: Float,
    fitted: Float,
    norm: float,
    *,
    measured: Measures | None = None,
    residual: float | None = None,
) -> tuple[Float, Float]:
    """|f_c| (c,), NaN where no digit of it holds, and a bound of its relative error (c,).

    `fitted` is K alpha (n, c), or Y - ridge alpha where `residual` bounds |Y - A alpha|; `norm` |K + ridge I|_1.
    `measured` are the `Measures` of an alpha whose |K| |alpha| is known.
    """
    problem = system.problem
    if measured is not None and measured.vanishing:
        powers = (exponents(alpha) + exponents(fitted)) // 2
        targets, alpha, fitted = (scaled(each, -powers) for each in (targets, alpha, fitted))
        norms, errors = function_norms(system, targets, alpha, fitted, norm)
        return scaled(norms, powers), errors
    features = _features(problem)
    if measured is not None:
        if features is None or measured.uncertain <= WANTED:
            return measured.norms, measured.errors
        lost, squares = measured.lost, measured.squares
    else:
        sizes = np.abs(alpha)
        if residual is None:
            missed: Float = np.abs(targets - fitted - problem.ridges * alpha)
        else:
            missed = np.broadcast_to(np.float64(residual), sizes.shape)
        lost = _lost_at_most(problem, sizes, missed, fitted, norm)
        squares = np.einsum("ij,ij->j", alpha, fitted)
    errors = np.empty(len(squares))
    _relative(lost, squares, errors)
    if features is not None and (errors > WANTED).any():
        largest = float(np.sqrt(problem.source.diagonal().max(initial=0.0)))
        lengths, moved = weight_norms(features, largest, *_least_squares(problem, targets))
        others = np.empty(len(lengths))
        _relative(moved, lengths, others)
        # That of the square, of which `resolved` makes that of the length again.
        others *= np.maximum(2.0 - others, 1.0)
        with np.errstate(over="ignore", under="ignore"):
            squares = np.where(others < errors, lengths**2, squares)
        errors = np.minimum(others, errors)
    norms = np.empty(len(squares))
    _resolve(squares, errors, norms)
    return norms, errors


@np.errstate(over="ignore", invalid="ignore")  # a bound that overflows is none
def _lost_at_most(problem: Problem, sizes: Float, residual: Float, fitted: Float, norm: float) -> Float:
    """A bound of the error of alpha^T K alpha (c,), from |alpha|, |Y - A alpha| and K alpha (n, c).

    As that of `Measures`, where |K| |alpha| is known: it is at most r (r^T |alpha|) for r_i^2 = K_ii, and |K| what is
    left of `norm` without the ridge, known to the rounding of that, or the trace.
    """
    unit, ridge, least = rounding(len(sizes)), problem.ridges, problem.min_ridge
    roots = np.sqrt(problem.source.diagonal())
    norm = min(max(norm - least, 0.0) + unit * norm, float(roots @ roots))
    sums, squares = roots @ sizes, np.einsum("ij,ij->j", sizes, sizes)
    formed = unit * np.minimum(sums**2, norm * squares)
    lost = formed + 2.0 * np.einsum("ij,ij->j", sizes, residual)
    if np.any(ridge):
        lost += unit * np.einsum("ij,ij->j", sizes, ridge * sizes)
    if least > 0:
        spread = np.minimum(np.linalg.norm(roots) * sums, norm * np.sqrt(squares))
        # Divided first: of a large ridge squares would overflow.
        spread = spread / least + np.linalg.norm(ridge / least * sizes, axis=0)
        missed = 2.0 * (np.linalg.norm(residual / least, axis=0) + unit * spread)
        lost = np.fmin(lost, formed + np.linalg.norm(fitted, axis=0) * missed)
    return np.asarray(lost)


def _features(problem: Problem) -> Callable[[int, int], Float] | None:
    """Rows start:stop of the kernel's features; None where there are infinitely many, or too many beside n^3 / 3."""
    source = problem.source
    kernel, points, n = source.kernel, source.points, source.n
    if kernel is None or points is None:
        return None
    count = kernel.feature_count(points.shape[1])
    if (
        count is None
        or count > _MOST_FEATURES
        or 4.0 * n * count * min(n, count) > max(n**3 / 3, _SMALL_WORK)
    ):
        return None
    if problem.weights is None or problem.ridge == 0:
        return lambda start, stop: kernel.features(points.scaled(start, stop))
    roots = np.sqrt(problem.weights / problem.weights.max())[:, None]
    return lambda start, stop: kernel.features(points.scaled(start, stop)) * roots[start:stop]


def _least_squares(problem: Problem, targets: Float) -> tuple[Float, float]:
    """Targets and ridge of the least-squares problem whose rows are `_features`: of weight 1 at most, and of 1 where no
    ridge weighs them."""
    if problem.weights is None or problem.ridge == 0:
        return targets, problem.ridge
    largest = float(problem.weights.max())
    return np.sqrt(problem.weights / largest)[:, None] * targets, problem.ridge / largest


@njit(cache=True, nogil=True, error_model="numpy")
def _resolve(squares: Any, errors: Any, norms: Any) -> None:
    """`resolved` of squares (c,), in place of their errors those of the norms."""
    for c in range(len(squares)):
        norms[c], errors[c] = resolved(squares[c], errors[c])


@njit(cache=True, nogil=True, error_model="numpy")
def _relative(errors: Any, squares: Any, ratios: Any) -> None:
    """ratios <- `relative` of errors and squares (c,)."""
    for c in range(len(errors)):
        ratios[c] = relative(errors[c], squares[c])
