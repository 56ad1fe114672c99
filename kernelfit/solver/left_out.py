"""Leave-one-out of least squares, from a factor, and from an estimated diag(A^-1).

Beside the estimate stand equally likely ones, which say how far off it may be.

The residual of row i left out is alpha_i / (A^-1)_ii. Without a factor both are known to some error: the entry of the
diagonal to its standard deviation, and alpha to A^-1 (y - A alpha), which is solved for roughly.
"""

from __future__ import annotations

import math
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
from kernelfit.solver.certificate import Certificate, forward_error
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
# A relative deviation beyond which means of squares are set by the rows that are known worst.
_VAGUE = 0.3
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
    certificate: Certificate,
    note: Callable[[str], None],
    progress: Progress,
) -> Float:
    """Leave-one-out predictions (n, c) from the factor: y - alpha / diag(A^-1)."""
    return of_diagonal(factor, factor.inverse_diagonal(progress), targets, alpha, certificate, note)


def of_diagonal(
    factor: System,
    inverse: Float,
    targets: Float,
    alpha: Float,
    certificate: Certificate,
    note: Callable[[str], None],
) -> Float:
    """`of_factor` where diag(A^-1) (n,) is known, as for many targets of one factor."""
    powers = exponents(targets)
    targets, alpha = scaled(targets, -powers), scaled(alpha, -powers)
    condition, error = certificate.condition_estimate, certificate.forward_error
    if math.isnan(condition):  # not asked for: |A^-1|_2 is at most the trace
        condition = certificate.norm * float(inverse.sum())
        error = forward_error(condition, certificate.backward_error, 0.0, len(inverse))
    if certificate.jitter > 0:
        note("leave-one-out is that of K + jitter I: the factor holds the jitter")
        alpha = factor.apply_inverse(targets)
        error = condition * np.finfo(np.float64).eps  # the certificate's is of A
    if certificate.factor_precision == "float32":
        # So far may diag(A^-1) of the factor be off, beside a refined alpha as well.
        share = min(1.0, condition * PRECISIONS["float32"].unit_roundoff)
        off = f": residuals may be off by {share:.1g} of themselves" if share > _VISIBLE else ""
        note(f"leave-one-out has the precision of the factor, float32{off}")
    lost = error * np.abs(alpha).max(initial=0.0) / inverse.min(initial=np.inf)
    if lost > _VISIBLE:
        note(f"leave-one-out may be off by {lost:.1g} of the largest target, as alpha has few correct digits")
    return scaled(leave_one_out_predictions(targets, alpha, inverse), powers)


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


def remark(inverse: InverseDiagonal, missing: Float, targets: Float) -> str:
    """One line for the user: that it is an estimate, by what, and to what error."""
    powers = exponents(targets)
    off = np.sqrt(np.mean(np.square(scaled(missing, -powers) / inverse.values[:, None]), axis=0))
    sizes = np.abs(scaled(targets, -powers)).max(axis=0)
    worst = int(np.argmax(off - _SEEN * sizes))
    text = f"leave-one-out: estimated, from the {inverse.summary()}"
    if off[worst] > _SEEN * sizes[worst]:
        lost, size = (float(scaled(each[worst], int(powers[worst]))) for each in (off, sizes))
        text += f"; alpha to the tolerance it was solved to is off by {lost:.1g} of a residual of up to {size:.3g}"
    if inverse.relative_deviation > _VAGUE:
        text += (
            "; so few say little of rows with neighbours this near: name an error, or take solver='cholesky'"
        )
    if not inverse.settled:
        text += (
            f"; probes were solved to a relative residual of {inverse.relative_residual:.1e} and no better, so that "
            "the error may be larger: give a larger ridge, or take solver='cholesky'"
        )
    return text
