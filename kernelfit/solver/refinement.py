"""alpha from a factor, refined where that is of lower precision than float64 or not that of A."""

from __future__ import annotations

import time

import numpy as np

from kernelfit.gram.precision import precision_of
from kernelfit.linalg.conjugate_gradients import Operators, refine
from kernelfit.linalg.product import Product
from kernelfit.progress import Progress
from kernelfit.solver.system import Solved, System
from kernelfit.typing import Float


def solve_with_factor(system: System, targets: Float, progress: Progress) -> Solved:
    """alpha from the factor, refined where that is of lower precision or of A + jitter I."""
    if precision_of(system.plan.precision).refined or system.problem.jitter > 0:
        return refined(system, targets, progress)
    return Solved(system.apply_inverse(targets))


@np.errstate(over="ignore", invalid="ignore")  # the backward error is no number then
def refined(system: System, targets: Float, progress: Progress) -> Solved:
    """Conjugate gradients on A = K + ridge W^-1, without the jitter, preconditioned by the factor.

    True residuals are formed with K computed afresh, which is the certificate's product as well.
    """
    ridge = system.problem.ridges
    start = system.apply_inverse(targets)
    first = system.product(start, progress, "refine", with_norm=True, fresh=False)
    verified: list[tuple[Float, Product]] = []
    seconds = 0.0

    def product(vectors: Float) -> Float:
        return system.product(vectors, progress, "refine", fresh=False).values + ridge * vectors

    def verify(vectors: Float) -> Float:
        nonlocal seconds
        began = time.perf_counter()
        made = system.product(vectors, progress, "certify", with_norm=True)
        seconds += time.perf_counter() - began
        verified.append((made.values + ridge * vectors, made))
        return verified[-1][0]

    residual = targets - first.values - ridge * start
    operators = Operators(product, system.apply_inverse, first.norm + system.problem.min_ridge, verify)
    refined = refine(operators, targets, start, residual)
    fresh = next((made for applied, made in verified if applied is refined.applied), None)
    return Solved(refined.solution, fresh, refined.iterations, seconds, refined.backward_error)
