"""Right-hand sides answered by a factored system: solve, refine where the factor is not that of A, certify."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from kernelfit.errors import RefinementError
from kernelfit.gram.precision import precision_of
from kernelfit.linalg.conjugate_gradients import Operators, backward_error, refine
from kernelfit.progress import Progress
from kernelfit.solver.certificate import Certificate, interpolates, rkhs_norms
from kernelfit.solver.system import System
from kernelfit.typing import Float

# A refined solution is as good as a float64 factor's when its backward error is below ten units of roundoff.
_AS_GOOD_AS_FLOAT64 = 10.0 * 0.5 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Solved:
    """alpha (n, c) before it is certified.

    `applied` is A alpha with K formed afresh and `norm` |A|_1, where refinement has formed them; `seconds` are those
    that it took.
    """

    alpha: Float
    applied: Float | None = None
    norm: float = 0.0
    products: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Answer:
    """alpha (n, c), K alpha (n, c) formed afresh, the certificate, and what this solve took.

    `seconds` are `solve` and `certify`; `traffic` the bytes of the factor read by each.
    """

    alpha: Float
    fitted: Float
    certificate: Certificate
    seconds: dict[str, float]
    traffic: dict[str, int]


def answer(system: System, targets: Float, progress: Progress) -> Answer:
    """Solve A alpha = Y for targets (n, c) with the factor, and certify the solution. Raises `RefinementError`."""
    with system.backend:
        started, read = time.perf_counter(), system.bytes_read
        solved = solve_targets(system, targets, progress)
        ended, read_solving = time.perf_counter(), system.bytes_read
        fitted, certificate = certify(system, targets, solved, progress)
        return Answer(
            solved.alpha,
            fitted,
            certificate,
            {
                "solve": ended - started - solved.seconds,
                "certify": time.perf_counter() - ended + solved.seconds,
            },
            {
                "solve_read": read_solving - read,
                "certify_read": system.bytes_read - read_solving,
            },
        )


def solve_targets(system: System, targets: Float, progress: Progress) -> Solved:
    """alpha from the factor, refined where that is of lower precision or of A + jitter I."""
    if precision_of(system.plan.precision).refined or system.problem.jitter > 0:
        return _refined(system, targets, progress)
    return Solved(system.apply_inverse(targets))


def _refined(system: System, targets: Float, progress: Progress) -> Solved:
    """Conjugate gradients on A = K + ridge I, without the jitter, preconditioned by the factor.

    True residuals are formed with K computed afresh, which is the certificate's product as well.
    """
    ridge = system.problem.ridge
    start = system.apply_inverse(targets)
    applied, norm = system.product(start, progress, "refine", with_norm=True, fresh=False)
    seconds = 0.0

    def product(vectors: Float) -> Float:
        values, _ = system.product(vectors, progress, "refine", fresh=False)
        return values + ridge * vectors

    def verify(vectors: Float) -> Float:
        nonlocal norm, seconds
        began = time.perf_counter()
        values, norm = system.product(vectors, progress, "certify", with_norm=True)
        seconds += time.perf_counter() - began
        return values + ridge * vectors

    residual = targets - applied - ridge * start
    operators = Operators(product, system.apply_inverse, norm + ridge, verify)
    refined = refine(operators, targets, start, residual)
    return Solved(refined.solution, refined.applied, norm + ridge, refined.iterations, seconds)


def certify(system: System, targets: Float, solved: Solved, progress: Progress) -> tuple[Float, Certificate]:
    """K alpha formed afresh (n, c), and what can be said of the solution; raises `RefinementError` where it is none."""
    problem, alpha, norm = system.problem, solved.alpha, solved.norm
    precision = precision_of(system.plan.precision)
    if solved.applied is None:
        fitted, norm = system.product(alpha, progress, "certify", with_norm=True)
        norm += problem.ridge
    else:
        fitted = solved.applied - problem.ridge * alpha
    with np.errstate(over="ignore", invalid="ignore"):  # what overflowed is refused below
        residual = targets - fitted - problem.ridge * alpha
        error = backward_error(residual, norm, alpha, targets)
    if not np.isfinite(error):
        raise RefinementError(
            f"alpha: overflows in {precision.name} precision, with Y up to {np.abs(targets).max():.3g}; "
            "rescale Y, or give ridge > 0"
        )
    if precision.refined and not error <= _AS_GOOD_AS_FLOAT64:
        raise RefinementError(
            f"alpha: backward error {error:.1e} in {precision.name} precision after "
            f"{solved.products} products with K, expected at most "
            f"{_AS_GOOD_AS_FLOAT64:.1e}; solve in float64, or give ridge > 0"
        )
    inverse, pivots = system.inverse_norm(), system.pivots
    norms = rkhs_norms(alpha, fitted)
    return fitted, Certificate(
        backward_error=error,
        residual=float(np.abs(residual).max(initial=0.0)),
        norm=norm,
        condition_estimate=norm * inverse if inverse is not None else float("nan"),
        min_pivot=pivots.smallest,
        min_pivot_row=pivots.row,
        weak_pivots=pivots.weak,
        log_det=pivots.log_det,
        jitter=problem.jitter,
        interpolates=problem.ridge == 0 and interpolates(error, residual, targets),
        refinements=solved.products if solved.products > 1 else 0,
        factor_precision=precision.factor.name,
        rank=problem.n,
        consistent=True,
        rkhs_norm=float(np.sqrt(np.sum(norms**2))),
        rkhs_norm_per_column=tuple(float(value) for value in norms),
    )
