"""Leave-one-out of least squares, from a factor, and from an estimated diag(A^-1).

Beside the estimate stand equally likely ones, which say how far off it may be.

The residual of row i left out is alpha_i / (A^-1)_ii. Without a factor both are known to some error: the entry of the
diagonal to its standard deviation, and alpha to A^-1 (y - A alpha), which is solved for roughly.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import numpy as np

from kernelfit.errors import NotPositiveDefiniteError
from kernelfit.gram.points import Points
from kernelfit.gram.precision import PRECISIONS
from kernelfit.iterative.inverse_diagonal import InverseDiagonal
from kernelfit.linalg.leave_one_out import leave_one_out_predictions
from kernelfit.linalg.minimum_norm import left_out
from kernelfit.progress import Progress
from kernelfit.solver.away import rounding_of_entries
from kernelfit.solver.certificate import Certificate
from kernelfit.solver.iterative_system import IterativeSystem
from kernelfit.solver.scaling import exponents, scaled
from kernelfit.solver.system import System
from kernelfit.typing import Float

# Middles of eight equally likely parts of a normal distribution, and signs that go with each as often as with its
# opposite.
_SHIFTS = (-1.5341, -0.8871, -0.4888, -0.1573, 0.1573, 0.4888, 0.8871, 1.5341)
_SIGNS = (1, -1, -1, 1, -1, 1, 1, -1)
# A relative deviation of an entry beyond this leaves no digit of it.
_LARGEST = 1.0
# An entry with a relative deviation beyond this has no digit, and the true one may be any smaller number.
_NO_DIGIT = 0.5
# An error of residuals beside their root mean square that is worth a line.
_VAGUE = 0.1
# Standard deviations of an error that is hardly exceeded at any row.
_DEVIATIONS = 3.0
# An error beyond this fraction of the largest target is worth a line.
_VISIBLE = 1e-3
# What alpha lacks, beside the largest target of its column, that is worth a line.
_SEEN = 1e-3


def of_least_squares(points: Points, targets: Float, weights: Float | None) -> Float:
    """Leave-one-out predictions (n, c) of least squares, rows counting by their weights (n,)."""
    powers = exponents(targets)
    roots = 1.0 if weights is None else np.sqrt(weights / weights.max())[:, None]
    rows = points.scaled(0, points.shape[0])
    return scaled(left_out(rows * roots, scaled(targets, -powers) * roots) / roots, powers)


def of_factor(
    factor: System,
    targets: Float,
    alpha: Float,
    fitted: Float,
    certificate: Certificate,
    note: Callable[[str], None],
    progress: Progress,
) -> Float:
    """Leave-one-out predictions (n, c) from the factor, K alpha being `fitted`: y - alpha / diag(A^-1)."""
    inverse = factor.inverse_diagonal(progress)
    return of_diagonal(factor, inverse, targets, alpha, fitted, certificate, note)


def of_diagonal(
    factor: System,
    inverse: Float,
    targets: Float,
    alpha: Float,
    fitted: Float,
    certificate: Certificate,
    note: Callable[[str], None],
) -> Float:
    """`of_factor` where diag(A^-1) (n,) is known, as for many targets of one factor."""
    powers, problem = exponents(targets), factor.problem
    targets, alpha, fitted = (scaled(each, -powers) for each in (targets, alpha, fitted))
    diagonal = problem.source.diagonal()
    unit = PRECISIONS[certificate.factor_precision].unit_roundoff
    if certificate.jitter > 0:
        note("leave-one-out is that of K + jitter I: the factor holds the jitter")
        alpha = factor.apply_inverse(targets)
        residual = rounding_of_entries(diagonal, alpha, unit)
    else:
        residual = targets - fitted - problem.ridges * alpha
        residual = np.hypot(residual, rounding_of_entries(diagonal, alpha))
    # Errors of the factor are about u (A_ii A_jj)^(1/2): so far is diag(A^-1) off beside itself, at any scale of rows.
    share = min(1.0, unit * float(np.abs(diagonal + problem.shift) @ inverse))
    if certificate.factor_precision == "float32":
        off = f": residuals may be off by {share:.1g} of themselves" if share > _VISIBLE else ""
        note(f"leave-one-out has the precision of the factor, float32{off}")
    lost = _lost(factor, inverse, residual)
    if certificate.factor_precision != "float32":
        lost += share * np.abs(alpha / inverse[:, None])
    sizes = np.abs(targets).max(axis=0, initial=0.0)
    worst = float(np.divide(lost.max(axis=0), sizes, out=np.zeros_like(sizes), where=sizes > 0).max())
    if worst > _VISIBLE:
        note(
            f"leave-one-out may be off by {worst:.1g} of the largest target, as alpha has few correct digits"
        )
    return scaled(leave_one_out_predictions(targets, alpha, inverse), powers)


def _lost(factor: System, inverse: Float, residual: Float) -> Float:
    """What leave-one-out residuals (n, c) are off by as alpha is by A^-1 r, r of that size (n, c) and random signs."""
    signs = np.random.default_rng(0).integers(0, 2, residual.shape) * 2.0 - 1.0
    return np.asarray(_DEVIATIONS * np.abs(factor.apply_inverse(signs * residual)) / inverse[:, None])


def likely_residuals(inverse: InverseDiagonal, alpha: Float, missing: Float) -> list[Float]:
    """Equally likely leave-one-out residuals (n, c) each, of alpha (n, c) that lacks about `missing` (n, c)."""
    relative = np.minimum(inverse.deviation / inverse.values, _LARGEST)
    return [
        (alpha + sign * missing) / (inverse.values * np.exp(shift * relative))[:, None]
        for shift, sign in zip(_SHIFTS, _SIGNS, strict=True)
    ]


def missing_alpha(system: IterativeSystem, residual: Float, inverse: InverseDiagonal) -> Float:
    """About how much alpha lacks, (n, c), by its residual y - A alpha.

    A^-1 of it, roughly, where alpha was solved to a tolerance, M^-1 where nothing is left but rounding.
    """
    with system.backend:
        if system.problem.method.tolerance is not None:
            powers = exponents(residual)
            with suppress(NotPositiveDefiniteError):
                return scaled(system.roughly(scaled(residual, -powers), 1.0 / inverse.values), powers)
        return system.precondition(residual)


def remark(inverse: InverseDiagonal, alpha: Float, missing: Float, targets: Float) -> str:
    """One line for the user: that it is an estimate, by what, and to what error."""
    powers = exponents(targets)
    off = np.sqrt(np.mean(np.square(scaled(missing, -powers) / inverse.values[:, None]), axis=0))
    sizes = np.abs(scaled(targets, -powers)).max(axis=0)
    worst = int(np.argmax(off - _SEEN * sizes))
    text = f"leave-one-out: estimated, from the {inverse.summary()}"
    if off[worst] > _SEEN * sizes[worst]:
        lost, size = (float(scaled(each[worst], int(powers[worst]))) for each in (off, sizes))
        text += f"; alpha to the tolerance it was solved to is off by {lost:.1g} of a residual of up to {size:.3g}"
    text += _by_diagonal(inverse, scaled(alpha, -powers))
    if not inverse.settled:
        text += (
            f"; probes were solved to a relative residual of {inverse.relative_residual:.1e} and no better, so that "
            "the error may be larger: give a larger ridge, or take solver='cholesky'"
        )
    return text


def _by_diagonal(inverse: InverseDiagonal, alpha: Float) -> str:
    """What deviations of the diagonal do to residuals alpha_i / (A^-1)_ii, alpha (n, c); empty where that is little.

    Of an uneven diagonal those that are known worst may be the largest residuals by far.
    """
    relative = inverse.deviation / inverse.values
    residuals = alpha / inverse.values[:, None]
    sizes, off = (
        np.linalg.norm(each, axis=0) for each in (residuals, np.minimum(relative, 1.0)[:, None] * residuals)
    )
    share = float(np.divide(off, sizes, out=np.zeros_like(sizes), where=sizes > 0).max(initial=0.0))
    unknown = int(np.count_nonzero(relative > _NO_DIGIT))
    if not unknown and share <= _VAGUE:
        return ""
    rows = f"; of {unknown:,} of {len(alpha):,} rows no digit is known" if unknown else ""
    more = " or more" if unknown else ""
    return (
        f"{rows}; residuals are off by {100.0 * share:.2g} % of their root mean square{more}: name an error, or take "
        "solver='cholesky'"
    )
