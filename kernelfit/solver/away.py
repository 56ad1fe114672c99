"""How far off predictions at new rows may be, as residuals are not 0.

Residuals r leave an error k_x^T A^-1 r of f(x). They are rounding errors, whose signs are random: with random signs z
the error at x has the standard deviation of k_x^T A^-1 (z r), which a few z tell of all x at once, at the cost of as
many right-hand sides. Three of them, at the worst of some new rows, are the estimate: the middles of pairs of training
rows, and where one of a pair lies when it is mirrored at the other, as far from it as they are apart.

Where no rows can be made up (K is given or summed, its rows are sparse, its function the user's) training rows are left
out, one at a time: then the error at row i is - sum_{j != i} (A^-1)_ij r_j / (A^-1)_ii.

Without a factor |k_x^T A^-1 r| <= k(x, x)^(1/2) |r| / (2 ridge^(1/2)), as |A^-1 k_x| is that at most.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from kernelfit.frozen import frozen
from kernelfit.gram.points import Points
from kernelfit.gram.precision import precision_of
from kernelfit.kernels.base import Needs
from kernelfit.progress import Silent
from kernelfit.solver.certificate import Certificate
from kernelfit.solver.measures import Measures
from kernelfit.solver.predict import predict
from kernelfit.solver.problem import Problem
from kernelfit.solver.refinement import solve_with_factor
from kernelfit.solver.system import System
from kernelfit.typing import Float

#: errors of predictions beyond this fraction of the largest target are worth a line
VISIBLE = 1e-3
# Pairs of training rows, each of which gives two new ones; training rows that are left out; random signs of residuals.
_PAIRS, _LEFT_OUT, _SIGNS = 128, 64, 4
# Standard deviations of an error that is hardly exceeded at any of so many rows.
_DEVIATIONS = 3.0
# Where the condition number times the roundoff of the factor is beyond this the factor knows A^-1 no more.
_SATURATED = 0.1
_ROUNDOFF = 0.5 * float(np.finfo(np.float64).eps)
# Mirrored rows of these have squares far from overflow.
_LONGEST = 1e150


@frozen
class Away:
    """What predictions at new rows may be off by beside the largest target, of the worst column.

    `error` is an estimate from a factor, without one a bound, infinite where nothing is known; 0 where it is too small
    to matter. `at_least` : the factor does not know A^-1 well enough to say how much more it is. `left_out` : it is
    that of training rows that were left out.
    """

    error: float = 0.0
    at_least: bool = False
    left_out: bool = False


def off_away(
    system: System, certificate: Certificate, measured: Measures, targets: Float, alpha: Float, fitted: Float
) -> Away:
    """Of alpha (n, c) for targets Y (n, c) and K alpha, all of a system whose backend is open."""
    problem, (residuals, sizes) = system.problem, measured.linear[:2]
    with np.errstate(invalid="ignore"):  # of sizes beyond float64 nothing is said
        shares = np.divide(residuals, sizes, out=np.zeros_like(sizes), where=sizes > 0)
    worst = int(np.argmax(shares))
    diagonal = problem.source.diagonal()
    # K of float64 has no smaller eigenvalues than its rounding error.
    least = max(problem.min_ridge, _ROUNDOFF * certificate.norm, float(np.finfo(np.float64).tiny))
    bound = math.sqrt(float(diagonal.max(initial=0.0)) / least)
    if not bound * shares[worst] > VISIBLE:
        return Away()
    size, ridges = np.abs(targets[:, worst]).max(), np.broadcast_to(problem.ridges, alpha.shape)[:, worst]
    weights = alpha[:, worst] / size
    residual = (targets[:, worst] - fitted[:, worst]) / size - ridges * weights
    if certificate.min_pivot is None:
        most = 0.5 * bound * float(np.linalg.norm(residual))
        return Away(most if problem.min_ridge >= least else math.inf) if most > VISIBLE else Away()
    saturated = _saturated(system, certificate)
    inverse = _inverse_norm(system, certificate)
    if not saturated and math.sqrt(float(diagonal.max()) * inverse) * shares[worst] <= VISIBLE:
        return Away()
    # What K alpha is off by as entries of K are rounded is no residual.
    noise = np.hypot(residual, rounding_of_entries(diagonal, weights[:, None])[:, 0])
    # The inverse of A + jitter I, or of a factor of lower precision, would tell of smaller errors.
    apply = partial(_refined, system) if saturated else system.apply_inverse
    error = _at_new_rows(system, residual, noise, apply)
    if error is None:
        return Away(_at_left_out_rows(residual, noise, apply), saturated, True)
    return Away(error, saturated)


def rounding_of_entries(diagonal: Float, alpha: Float, unit: float = _ROUNDOFF) -> Float:
    """What K alpha (n, c) is off by as entries K_ij are, by u (K_ii K_jj)^(1/2), the diagonal (n,) being K_ii."""
    sizes = np.sqrt(np.abs(diagonal))
    return unit * sizes[:, None] * np.linalg.norm(sizes[:, None] * alpha, axis=0)


def _inverse_norm(system: System, certificate: Certificate) -> float:
    inverse = certificate.condition_estimate / certificate.norm
    if math.isnan(inverse):  # not asked for: the trace is about that at most
        assert certificate.min_pivot is not None
        inverse = system.problem.n / certificate.min_pivot
    return inverse


def _saturated(system: System, certificate: Certificate) -> bool:
    """Whether the factor, in its precision or with a jitter, has another inverse than A."""
    unit = precision_of(system.plan.precision).unit_roundoff
    condition = certificate.norm * _inverse_norm(system, certificate)
    return certificate.jitter > 0 or not condition * unit <= _SATURATED


def _refined(system: System, vectors: Float) -> Float:
    """A^-1 V (n, c), as far as it can be refined."""
    return solve_with_factor(system, vectors, Silent()).alpha


def _signed(noise: Float) -> Float:
    """Noise (n,) with random signs, (n, _SIGNS)."""
    signs = np.random.default_rng(0).integers(0, 2, (len(noise), _SIGNS)) * 2.0 - 1.0
    return np.asarray(signs * noise[:, None])


def _at_new_rows(
    system: System, residual: Float, noise: Float, apply: Callable[[Float], Float]
) -> float | None:
    """The largest error at rows that are made up; None where none can be."""
    kernel, points, rows = system.problem.kernel, system.problem.points, _made_up(system.problem)
    if kernel is None or points is None or rows is None:
        return None
    applied = apply(np.column_stack([residual, _signed(noise)]))
    with np.errstate(all="ignore"):
        errors = predict(kernel, points, rows, applied, system.backend, Silent())
    if not np.isfinite(errors).all():
        return None
    return _DEVIATIONS * float(np.sqrt(np.square(errors).mean(axis=1)).max())


def _made_up(problem: Problem) -> Points | None:
    """Middles of pairs of training rows, and rows mirrored at others."""
    kernel, points = problem.kernel, problem.points
    if kernel is None or points is None or points.sparse or Needs.FUNCTION in kernel.needs:
        return None
    if not float(points.lengths.max(initial=0.0)) < _LONGEST:
        return None
    pairs = np.random.default_rng(1).integers(0, points.shape[0], (2, _PAIRS))
    one, other = (points.take(each, like=points).scaled(0, _PAIRS) for each in pairs)
    return Points(np.vstack([0.5 * (one + other), 2.0 * one - other]), 1.0, points)


def _at_left_out_rows(residual: Float, noise: Float, apply: Callable[[Float], Float]) -> float:
    """The largest error at training rows that are left out."""
    n = len(residual)
    chosen = np.random.default_rng(2).permutation(n)[:_LEFT_OUT]
    units = np.zeros((n, len(chosen)))
    each = np.arange(len(chosen))
    units[chosen, each] = 1.0
    columns = apply(units)
    own = columns[chosen, each].copy()
    columns[chosen, each] = 0.0
    deviations = np.sqrt(np.square(columns.T) @ np.square(noise))
    return float((np.maximum(_DEVIATIONS * deviations, np.abs(columns.T @ residual)) / own).max())
