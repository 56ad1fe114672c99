"""Refinement of K A = Y by conjugate gradients on the true K, preconditioned by a float32 factor.

Every column runs its own recurrence (Saad, Iterative methods for sparse linear systems, algorithm 9.1); products
with K and solves with the factor are done for all columns at once. The residual is recomputed from Y - K A at the
end of each run of the recurrence, so that what is reported is the true one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kernelfit.typing import Float


@dataclass(frozen=True)
class Refinement:
    """The result of `refine`: solution (n, c); true residual Y - K A (n, c); K A as `verify` gave it, None where the
    start was good enough; products with K; and whether the backward error max|R| / (|K| |A| + |Y|) came down to the
    target."""

    solution: Float
    residual: Float
    applied: Float | None
    iterations: int
    backward_error: float
    converged: bool


def backward_error(residual: Float, norm: float, solution: Float, targets: Float) -> float:
    """max over columns c of |r_c|_inf / (|K|_inf |a_c|_inf + |y_c|_inf); Rigal and Gaches' normwise error.

    0 for a column of zeros; NaN where anything is not finite.
    """
    if residual.size == 0:
        return 0.0
    top = np.abs(residual).max(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        bottom = norm * np.abs(solution).max(axis=0) + np.abs(targets).max(axis=0)
        if not np.isfinite(bottom).all():
            return float("nan")
        return float(np.divide(top, bottom, out=np.zeros_like(top), where=bottom != 0).max())


@dataclass(frozen=True)
class Operators:
    """V -> K V, R -> M^-1 R with M near K, and |K|_inf; `verify` is the product that true residuals are formed with,
    `product` where it is left out."""

    product: Callable[[Float], Float]
    precondition: Callable[[Float], Float]
    norm: float
    verify: Callable[[Float], Float] | None = None


def refine(
    operators: Operators,
    targets: Float,
    start: Float,
    residual: Float,
    *,
    target: float = 0.5 * np.finfo(np.float64).eps,
    max_iterations: int = 60,
) -> Refinement:
    """Solve K A = Y for Y (n, c).

    `start` (n, c) is a first solution, such as M^-1 Y, and `residual` Y - K start.

    Stops when the backward error is at most `target`, when a restart from the true residual brings no further
    gain, or after `max_iterations` products with K. A K with negative eigenvalues makes solutions so large that their
    backward error is small and their residual beyond Y: none is taken whose residual is larger than that of both
    `start` and 0.
    """
    verify, norm = operators.verify or operators.product, operators.norm
    solution = start
    best_applied: Float | None = None
    iterations = 1
    error = best = backward_error(residual, norm, solution, targets)
    best_solution, best_residual = solution.copy(), residual
    allowed = np.maximum(np.abs(residual).max(axis=0), np.abs(targets).max(axis=0))
    while error > target and iterations < max_iterations and np.isfinite(error):
        used, solution = _recurrence(
            operators, solution, residual, targets, target, max_iterations - iterations
        )
        applied = verify(solution)
        residual = targets - applied
        iterations += used + 1
        error = backward_error(residual, norm, solution, targets)
        gained = error < 0.5 * best
        if error < best and bool((np.abs(residual).max(axis=0) <= allowed).all()):
            best, best_solution, best_residual, best_applied = error, solution.copy(), residual, applied
        if not gained:
            break
    return Refinement(best_solution, best_residual, best_applied, iterations, best, bool(best <= target))


def _recurrence(
    operators: Operators,
    start: Float,
    residual: Float,
    targets: Float,
    target: float,
    max_iterations: int,
) -> tuple[int, Float]:
    """Conjugate gradients from `start` until the recurrence's own residual meets the target; (products, solution)."""
    x, r = start.copy(), residual.copy()
    z = operators.precondition(r)
    p = z.copy()
    rho = np.einsum("ij,ij->j", r, z)
    for iteration in range(1, max_iterations + 1):
        q = operators.product(p)
        curvature = np.einsum("ij,ij->j", p, q)
        # A column that has converged, or whose curvature is lost to rounding, stands still.
        live = (curvature > 0) & (rho > 0)
        with np.errstate(over="ignore", invalid="ignore"):  # the backward error is no number then
            step = np.divide(rho, curvature, out=np.zeros_like(rho), where=live)
            x += step * p
            r -= step * q
        # The recurrence's residual may run ahead of the true one; half the target leaves room for that.
        if not live.any() or backward_error(r, operators.norm, x, targets) <= 0.5 * target:
            return iteration, x
        z = operators.precondition(r)
        following = np.einsum("ij,ij->j", r, z)
        p = z + np.divide(following, rho, out=np.zeros_like(rho), where=rho > 0) * p
        rho = following
    return max_iterations, x
