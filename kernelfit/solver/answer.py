"""Right-hand sides answered by a system: solve, certify."""

from __future__ import annotations

import math
import time
from typing import NamedTuple, NoReturn

import numpy as np

from kernelfit.errors import RefinementError
from kernelfit.frozen import frozen_of_arrays
from kernelfit.gram.precision import Precision, precision_of
from kernelfit.iterative.convergence import Convergence
from kernelfit.linalg.condition import EXACT
from kernelfit.linalg.product import Product
from kernelfit.progress import Progress
from kernelfit.solver.away import Away, off_away
from kernelfit.solver.certificate import Certificate, forward_error, interpolates
from kernelfit.solver.measures import Measures, may_miss, measure, missed, rounding
from kernelfit.solver.norms import function_norms
from kernelfit.solver.refinement import refined
from kernelfit.solver.scaling import Exponents, both_scaled, scaled, unit_sized
from kernelfit.solver.system import Solved, System
from kernelfit.typing import Float

# A refined solution is as good as a float64 factor's when its backward error is below ten units of roundoff.
_AS_GOOD_AS_FLOAT64 = 10.0 * 0.5 * float(np.finfo(np.float64).eps)
# Below this numbers have fewer than 52 bits in float64.
_TINY = float(np.finfo(np.float64).tiny)


@frozen_of_arrays
class Answer:
    """alpha (n, c), K alpha (n, c) formed afresh, the certificate, and what this solve took.

    `lost` estimates the rounding error of the largest fitted value, u max_i (|K| |alpha|)_i, beside the largest target,
    of the worst column; 0 where it is not known. `away` is likewise what predictions at new rows may be off by, as
    residuals are not 0. `missed` counts small targets without a digit (see `measures.missed`). `seconds` are `solve`
    and `certify`; `traffic` the bytes of the factor read by each.
    """

    alpha: Float
    fitted: Float
    certificate: Certificate
    lost: float
    away: Away
    missed: int
    seconds: dict[str, float]
    traffic: dict[str, int]
    convergence: Convergence | None = None


def answer(system: System, targets: Float, progress: Progress, norm: float | None = None) -> Answer:
    """Solve A alpha = Y for targets (n, c) with the factor, and certify the solution. Raises `RefinementError`.

    Where |A|_1 is known as `norm`, the certificate does without |K| |alpha|, a product as large as K alpha.
    """
    with system.backend:
        started, read = time.perf_counter(), system.bytes_read
        unit, powers = unit_sized(targets)
        solved = system.solve(unit, progress)
        ended, read_solving = time.perf_counter(), system.bytes_read
        product, certificate, measured, small = certify(system, unit, solved, powers, progress, norm)
        away = off_away(system, certificate, measured, unit, solved.alpha, product.values)
        alpha, fitted = both_scaled(solved.alpha, product.values, powers)
        _require_representable(system, measured, targets)
        lost = 0.0 if product.absolute is None else rounding(len(alpha)) * measured.visible
        return Answer(
            alpha,
            fitted,
            certificate,
            lost,
            away,
            small,
            {
                "solve": ended - started - solved.seconds,
                "certify": time.perf_counter() - ended + solved.seconds,
            },
            {
                "solve_read": read_solving - read,
                "certify_read": system.bytes_read - read_solving,
            },
            solved.convergence,
        )


class Certified(NamedTuple):
    """K alpha formed afresh, the certificate, what columns measure, and how many small targets are missed."""

    product: Product
    certificate: Certificate
    measures: Measures
    missed: int


def certify(
    system: System,
    targets: Float,
    solved: Solved,
    powers: Exponents,
    progress: Progress,
    norm: float | None = None,
) -> Certified:
    """A solution beside K alpha, formed afresh.

    Raises `RefinementError`. `targets` and alpha are 2^-powers times the user's, and so is the product; all else is of
    the user's. `norm` is |A|_1 where that is known already.
    """
    problem, alpha = system.problem, solved.alpha
    weighted = problem.weights is not None
    with_norm = norm is None or weighted
    product = solved.product or system.product(alpha, progress, "certify", with_norm=with_norm)
    ridges, fitted = problem.ridges, product.values
    norm = problem.norm(product) if norm is None else norm
    # Beside the ridge of a row of little weight the errors of all others would be nothing.
    size = product.norm + problem.min_ridge if weighted else norm
    measured = measure(targets, alpha, fitted, product.absolute, ridges, size, powers)
    error = measured.backward
    precision, n = precision_of(system.plan.precision), problem.source.n
    _require_solution(precision, solved, error, targets, powers)
    pivots, (condition, of_a) = system.pivots, _condition(system, precision, norm, progress)
    met = (
        problem.ridge == 0
        and not problem.has_noise
        and not (solved.convergence and solved.convergence.is_cut_short)
        and interpolates(error, measured.met)
    )
    small = missed(targets - fitted, targets) if met and may_miss(measured) else 0
    known = product.absolute is not None
    norms, norm_errors = function_norms(
        system, targets, alpha, fitted, norm, measured=measured if known else None
    )
    norms = scaled(norms[None], powers)[0].tolist()
    certificate = Certificate(
        backward_error=error,
        componentwise_backward_error=measured.componentwise if known else None,
        forward_error=forward_error(condition, error, precision.unit_roundoff, n) if of_a else math.nan,
        residual=measured.residual,
        norm=norm,
        condition_estimate=condition,
        min_pivot=pivots.smallest if pivots else None,
        min_pivot_row=int(problem.kept[pivots.row]) if pivots else None,
        weak_pivots=pivots.weak if pivots else 0,
        log_det=pivots.log_det if pivots else None,
        jitter=problem.jitter,
        interpolates=met and not small,
        refinements=solved.products if solved.products > 1 else 0,
        factor_precision=precision.factor_name if pivots is not None else "none",
        rank=n,
        consistent=True,
        rkhs_norm=math.hypot(*norms),
        rkhs_norm_per_column=tuple(norms),
        rkhs_norm_error=max(norm_errors.tolist()),
    )
    return Certified(product, certificate, measured, small)


def _condition(system: System, precision: Precision, norm: float, progress: Progress) -> tuple[float, bool]:
    """The condition number of A, NaN where it is not wanted, else of A + jitter I; and whether it is that of A.

    That of a float32 factor is off beyond 1e6. A^-1 of a small A is refined, where that succeeds.
    """
    problem = system.problem
    if not problem.condition:
        return math.nan, True
    if (problem.jitter > 0 or precision.factor_name == "float32") and problem.n <= EXACT:
        inverse = refined(system, np.eye(problem.n), progress)
        if inverse.error <= _AS_GOOD_AS_FLOAT64:
            return _at_least_one(norm * float(np.abs(inverse.alpha).sum(axis=0).max())), True
        return _at_least_one((norm + problem.jitter) * system.inverse_norm()), False
    return _at_least_one((norm + problem.jitter) * system.inverse_norm()), problem.jitter == 0


def _at_least_one(condition: float) -> float:
    return 1.0 if condition < 1.0 else float(condition)  # NaN stays


def _require_solution(
    precision: Precision, solved: Solved, error: float, targets: Float, powers: Exponents
) -> None:
    """Raise where the backward error is not that of a solution in the system's precision."""
    if not math.isfinite(error):
        _refuse_overflow(precision.name, scaled(targets, powers))
    if precision.refined and not error <= _AS_GOOD_AS_FLOAT64:
        raise RefinementError(
            f"alpha: backward error {error:.1e} in {precision.name} precision after "
            f"{solved.products} products with K, expected at most "
            f"{_AS_GOOD_AS_FLOAT64:.1e}; solve in float64, or give ridge > 0"
        )


def _require_representable(system: System, measured: Measures, targets: Float) -> None:
    """Raise where alpha, of columns of these sizes, leaves the range of float64 at the user's scale."""
    smallest, largest = measured.sizes
    if smallest >= _TINY and largest < math.inf:
        return
    sizes = measured.linear[2]
    if not np.isfinite(sizes).all():
        _refuse_overflow(system.plan.precision, targets)
    small = sizes < _TINY
    if not small.any():
        return
    small &= (targets != 0).any(axis=0)
    if small.any():
        raise RefinementError(
            f"alpha: vanishes in float64, with Y of {np.abs(targets[:, small]).max():.3g}; rescale Y"
        )


def _refuse_overflow(precision: str, targets: Float) -> NoReturn:
    raise RefinementError(
        f"alpha: overflows in {precision} precision, with Y up to {np.abs(targets).max():.3g}; "
        "rescale Y, or give ridge > 0"
    )
