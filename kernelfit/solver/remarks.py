"""What the user should know of a solution that its certificate alone does not say in words."""

from __future__ import annotations

import math

import numpy as np

from kernelfit.errors import InputError
from kernelfit.gram.points import Points
from kernelfit.kernels import Kernel
from kernelfit.kernels.base import Needs
from kernelfit.progress import Notes
from kernelfit.solver.answer import Answer
from kernelfit.solver.away import VISIBLE
from kernelfit.solver.certificate import interpolates
from kernelfit.solver.gamma import median_distance
from kernelfit.solver.measures import RESIDUAL
from kernelfit.solver.problem import Problem
from kernelfit.typing import Float

#: of a jitter, in the note that says so
NOT_REFINED = "was not refined away"
# Residuals below this fraction of the targets are rounding, of an iteration as of a factor.
_EXACT = 1e-9
# Rounding errors of fitted values beyond this fraction of the largest target are worth a line.
_VISIBLE = 1e-3
# Sums of entries off the diagonal that are below this, beside entries of 1 on it, are none; entries of a K of ones are
# off by no more.
_IDENTITY = 1e-12
# A ridge beyond this leaves too few digits of them beside it.
_LARGE_RIDGE = 1e3


def remark(problem: Problem, answered: Answer, notes: Notes) -> tuple[str, ...]:
    """Add what should be known of an answer; the lines that were added, which hold for these targets only."""
    before, certificate = len(notes.lines), answered.certificate
    if answered.convergence is not None and (line := answered.convergence.remark(certificate.backward_error)):
        notes.add(line)
    # Refinement has made up for the pivots that a float32 factor lost.
    if certificate.weak_pivots and not certificate.refinements:
        notes.add(
            f"{certificate.weak_pivots} pivots are below 10 n u K_ii: these rows are nearly dependent on earlier "
            "ones; the backward error holds, alpha itself may have few correct digits"
        )
    if certificate.jitter > 0 and not _met(problem, answered):
        notes.add(
            f"jitter {certificate.jitter:g} {NOT_REFINED} in {certificate.refinements} products with K: "
            f"backward error {certificate.backward_error:.1e}, largest residual {certificate.residual:.1e}; "
            "take a smaller jitter, or a ridge"
        )
    if problem.has_noise:
        notes.add(
            "the kernel's noise stands on the diagonal of K only (or what a Matern kernel of scikit-learn's with nu "
            "below 0.19 loses beside it): predictions at training rows do not meet their targets"
        )
    _remark_single(problem, answered, notes)
    _remark_rounding(answered, notes)
    _remark_identity(problem, answered, notes)
    return tuple(notes.lines[before:])


def _met(problem: Problem, answered: Answer) -> bool:
    """Whether A alpha = Y holds to rounding."""
    residuals, targets = _sizes(problem, answered)
    return interpolates(answered.certificate.backward_error, bool((residuals <= RESIDUAL * targets).all()))


def _sizes(problem: Problem, answered: Answer) -> tuple[Float, Float]:
    """The largest residual and the largest target of every column (c,)."""
    residual = np.abs(problem.targets - answered.fitted - problem.ridges * answered.alpha)
    return residual.max(axis=0), np.abs(problem.targets).max(axis=0)


def _remark_single(problem: Problem, answered: Answer, notes: Notes) -> None:
    """What a factor in float32 that nothing refines leaves of the targets."""
    if answered.certificate.factor_precision != "float32" or problem.numbers.refined or problem.jitter > 0:
        return
    residuals, targets = _sizes(problem, answered)
    missed = np.divide(residuals, targets, out=np.zeros_like(targets), where=targets > 0).max()
    if missed > _VISIBLE:
        notes.add(
            f"precision float32: residuals are up to {missed:.1g} of the largest target, as the factor has no more "
            "digits; take 'mixed' or 'float64', or give a larger ridge"
        )


def _remark_rounding(answered: Answer, notes: Notes) -> None:
    """A norm without digits, and values whose digits cancel."""
    if math.isnan(answered.certificate.rkhs_norm):
        notes.add(
            f"the RKHS norm is not resolved: no digit of alpha^T K alpha is beyond {_unresolved(answered)}"
        )
    if answered.lost > _VISIBLE:
        notes.add(
            f"fitted values and predictions may be off by {answered.lost:.1g} of the largest target, as sums over a "
            "large alpha cancel; give a larger ridge"
        )
    if answered.missed:
        notes.add(
            f"{answered.missed:,} small targets are missed by half of themselves or more: residuals, of up to "
            f"{answered.certificate.residual:.1e}, are small beside the largest target of a column only; give such "
            "targets a column of their own"
        )
    if answered.away.error > VISIBLE:
        notes.add(_off_away(answered))


def _off_away(answered: Answer) -> str:
    """By how much predictions at new rows may be off."""
    away, where = answered.away, "predictions away from training rows may be off"
    if math.isinf(away.error):
        return (
            f"{where} by more than the residuals, by how much is not known without a factor; give a larger ridge, or "
            "take solver='cholesky'"
        )
    least = "the largest target or more" if away.error >= 1 else f"{away.error:.1g} of the largest target"
    if answered.convergence is not None:
        return (
            f"{where} by up to {least}, as residuals are not 0; give a smaller tolerance, a larger ridge, or take "
            "solver='cholesky'"
        )
    if away.at_least and away.error < 1:
        least += " or more"
    if away.left_out:
        where = "predictions at rows like those of training, which were left out, may be off"
    return f"{where} by {least}, as alpha has few correct digits; give a larger ridge"


def _unresolved(answered: Answer) -> str:
    """What hides a norm, and what helps."""
    convergence = answered.convergence
    if convergence is not None and convergence.relative_residual > _EXACT:
        residual = convergence.relative_residual
        return f"what residuals of {residual:.1e} of the targets leave open; give a smaller tolerance"
    return "its rounding error; give a larger ridge"


def _remark_identity(problem: Problem, answered: Answer, notes: Notes) -> None:
    """A kernel so narrow that no row sees another, or so wide that none differs from another."""
    kernel, points = problem.source.kernel, problem.source.points
    if kernel is None or points is None or problem.source.n < 2:
        return
    if Needs.FUNCTION in kernel.needs:
        _remark_diagonal(problem, answered, notes)
    if not kernel.stationary:
        return
    ridge, n = problem.ridge, problem.source.n
    if ridge > _LARGE_RIDGE:
        return
    if problem.weights is None or ridge == 0:
        others, digits = answered.certificate.norm - ridge - 1.0, _IDENTITY * (1.0 + ridge)
        narrow, wide = others <= digits, others >= n - 1.0 - n * digits
    else:  # the norm of A says nothing of K where rows have ridges of their own
        narrow, wide = _of_diagonal(answered, answered.alpha), _of_sums(answered)
    if narrow:
        notes.add(
            "kernel too narrow: K is the identity to rounding; predictions away from training rows are 0"
            + _width(kernel, points)
        )
    elif wide and (width := _width(kernel, points)):  # which equal rows do not have
        notes.add(
            "kernel too wide: all of K is 1 to rounding; predictions are the same for all rows about those of training"
            + width
        )


def _width(kernel: Kernel, points: Points) -> str:
    """What the median rule would take; empty where it has no number for these rows."""
    if not kernel.width_parameter:
        return ""
    try:
        distance = median_distance(points, kernel.name)
    except InputError:
        return ""
    if kernel.width_parameter == "gamma":
        return f"; the median rule would take gamma {1.0 / distance:.3g}"
    return f"; the median distance of rows is {distance:.3g}, for the length scale"


def _remark_diagonal(problem: Problem, answered: Answer, notes: Notes) -> None:
    """As `_remark_identity`, for a kernel of which nobody knows that k(x, x) = 1."""
    if _of_diagonal(answered, problem.source.diagonal()[:, None] * answered.alpha):
        notes.add(
            "K is diagonal to rounding: for this kernel no training row is near another; is it too narrow for X?"
        )


def _of_diagonal(answered: Answer, alone: Float) -> bool:
    """Whether K alpha is what the diagonal of K gives alone (n, c). alpha = 0 does not tell."""
    largest = float(np.abs(alone).max())
    return largest > 0 and bool(np.abs(answered.fitted - alone).max() <= _IDENTITY * largest)


def _of_sums(answered: Answer) -> bool:
    """Whether K alpha is what a K of ones gives. alpha = 0 does not tell."""
    largest = float(np.abs(answered.alpha).sum(axis=0).max())
    missed = np.abs(answered.fitted - answered.alpha.sum(axis=0)).max()
    return largest > 0 and bool(missed <= _IDENTITY * largest)
