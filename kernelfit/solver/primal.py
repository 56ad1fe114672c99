"""The linear kernel with fewer features than rows: minimum-norm weights, as K has no Cholesky factor."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np

from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError
from kernelfit.gram import placement
from kernelfit.gram.costs import Costs
from kernelfit.gram.placement import Limits
from kernelfit.linalg.minimum_norm import MinimumNorm, minimum_norm
from kernelfit.progress import Notes
from kernelfit.solver.away import VISIBLE
from kernelfit.solver.certificate import Certificate, forward_error
from kernelfit.solver.norms import rounding
from kernelfit.solver.problem import Problem
from kernelfit.solver.solution import Solution
from kernelfit.typing import Float


def _weighted_minimum_norm(
    rows: Float, targets: Float, weights: Float | None
) -> tuple[Float, Float, MinimumNorm, int]:
    """alpha, Y - X W, W, and how many directions are lost among the weights of rows.

    Where nothing meets all targets rows count by their weights: a ridge's limit at 0. Whether anything does is a
    question to the rows as they are: beside others a row of little weight is rounding.
    """
    plain = minimum_norm(rows, targets)
    if weights is None or plain.consistent:
        return plain.alpha, plain.residual, plain, 0
    roots = np.sqrt(weights / weights.max())[:, None]
    result = replace(minimum_norm(rows * roots, targets * roots), consistent=False)
    return result.alpha * roots, result.residual / roots, result, plain.rank - result.rank


def _remark_away(problem: Problem, norms: list[float], error: float, notes: Notes) -> None:
    """Say what predictions may be off by, as weights are by `error` of their lengths: |x| |dw| at rows x as long as the
    longest training row."""
    assert problem.points is not None
    longest, sizes = float(problem.points.lengths.max()), np.abs(problem.targets).max(axis=0).tolist()
    off = max(
        (longest * (norm / size) * error for norm, size in zip(norms, sizes, strict=True) if size),
        default=0.0,
    )
    if off > VISIBLE:
        most = "the largest target or more" if off >= 1 else f"{off:.1g} of the largest target"
        notes.add(
            f"predictions at rows that training rows hardly span may be off by up to {most}, as the weights have few "
            "correct digits; give a ridge"
        )


def solve_primal(problem: Problem, backend: CpuBackend, memory_limit: int, notes: Notes) -> Solution:
    """The weights W (d, c) of least norm with X W = Y, by singular values, and alpha with W = X^T alpha."""
    points, targets = problem.points, problem.targets
    assert points is not None
    n, d = points.shape
    # The plan of the dual problem would be refused or wasteful; what counts here is X in float64, twice.
    costs = Costs.of(
        n=d,
        d=d,
        n_rhs=targets.shape[1],
        threads=backend.threads,
        bytes_points=points.nbytes + 3 * n * d * 8,
    )
    plan = placement.place(costs, Limits(memory_limit))
    started = time.perf_counter()
    if points.sparse:
        notes.add(f"X: sparse, was made an array of {8 * n * d:,} bytes for its singular values")
    rows = points.scaled(0, n)
    alpha, residual, result, lost = _weighted_minimum_norm(rows, targets, problem.weights)
    factored = time.perf_counter() - started
    if not (np.isfinite(alpha).all() and np.isfinite(result.weights).all()):
        raise InputError(
            f"X: alpha overflows, with X up to {np.abs(rows).max():.3g} and Y up to {np.abs(targets).max():.3g}; "
            "rescale X, as by scale"
        )
    how = "consistent: the weights interpolate" if result.consistent else "not consistent: least squares"
    notes.add(f"linear kernel with {d} features < {n} rows: minimum-norm weights, rank {result.rank}, {how}")
    if lost > 0:
        notes.add(
            f"sample_weight: {lost} of {lost + result.rank} directions lost in rounding, as rows of little weight "
            "alone span them: W is 0 there; bring weights nearer to each other"
        )
    norms = [math.hypot(*column) for column in result.weights.T]
    error = rounding(n) * result.sensitivity
    _remark_away(problem, norms, error, notes)
    certificate = Certificate(
        backward_error=result.backward_error,
        componentwise_backward_error=None,
        forward_error=forward_error(result.sensitivity, result.backward_error, 0.0, result.rank),
        residual=float(np.abs(residual).max(initial=0.0)),
        norm=float(points.domain_sq_norms.sum()),
        condition_estimate=result.condition,
        min_pivot=None,
        min_pivot_row=None,
        weak_pivots=0,
        log_det=None,
        jitter=0.0,
        interpolates=result.consistent,
        refinements=0,
        factor_precision="none",
        rank=result.rank,
        consistent=result.consistent,
        rkhs_norm=math.hypot(*norms),
        rkhs_norm_per_column=tuple(norms),
        rkhs_norm_error=min(1.0, error),
    )
    return Solution(
        problem=replace(problem, precision="float64"),
        alpha=alpha,
        fitted=targets - residual,
        certificate=certificate,
        plan=plan,
        seconds={"gram": 0.0, "factor": factored, "solve": 0.0, "certify": 0.0},
        notes=notes.lines,
        weights=result.weights,
    )
