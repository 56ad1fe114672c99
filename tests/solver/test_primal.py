"""What the certificate says of weights of least squares, beside exact ones."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

import kernelfit


@pytest.mark.parametrize("size", [0.0, 1e-6, 1.0, 1e3])
def test_bounds_of_weights_hold_beside_residuals(rng, size):
    """Of targets that lie off the span of X by 1, weights of error 3e-6 were said to have one of 2e-9 at most."""
    n, d = 24, 3
    left, right = np.linalg.qr(rng.standard_normal((n, n)))[0], np.linalg.qr(rng.standard_normal((d, d)))[0]
    x = left[:, :d] * np.logspace(0, -6, d) @ right.T
    y = x @ right[:, 0] + size * left[:, d + 1]
    with mpmath.workdps(60):
        rows, targets = mpmath.matrix(x.tolist()), mpmath.matrix(y.tolist())
        weights = mpmath.lu_solve(rows.T * rows, rows.T * targets)
        solution = kernelfit.solve(x, y, kernel="linear")
        found = mpmath.matrix(solution.weights.tolist())
        error = mpmath.norm(found - weights, mpmath.inf) / mpmath.norm(weights, mpmath.inf)
        norm = mpmath.norm(weights)
        of_norm = abs(solution.rkhs_norm - norm) / norm
    certificate = solution.certificate
    assert error <= certificate.forward_error
    assert of_norm <= certificate.rkhs_norm_error
    assert certificate.interpolates == (size == 0)
    assert certificate.forward_error < 1e-8 or size > 0


@pytest.mark.parametrize(("least", "said"), [(1e-3, False), (1e-13, True)])
def test_predictions_that_few_digits_of_the_weights_leave_are_said(rng, least, said):
    """Weights without a digit predicted rows that training rows hardly span, and no note was given."""
    n, d = 24, 3
    left, right = np.linalg.qr(rng.standard_normal((n, n)))[0], np.linalg.qr(rng.standard_normal((d, d)))[0]
    x = left[:, :d] * np.array([1.0, 0.5, least]) @ right.T
    y = rng.choice([-1.0, 1.0], n)
    solution = kernelfit.solve(x, y, kernel="linear")
    with mpmath.workdps(60):
        rows, targets = mpmath.matrix(x.tolist()), mpmath.matrix(y.tolist())
        weights = mpmath.lu_solve(rows.T * rows, rows.T * targets)
        longest = np.linalg.norm(x, axis=1).max()
        off = float(longest * mpmath.norm(mpmath.matrix(solution.weights.tolist()) - weights))
    notes = [note for note in solution.notes if note.startswith("predictions at rows that training rows")]
    assert bool(notes) == said
    assert off <= (np.inf if said else 1e-3)


def test_weights_of_rows_that_have_no_ratio_are_refused(rng):
    """Residuals of such rows were divided by 0: fitted values, and the certificate's residual, were no numbers."""
    weights = np.ones(10)
    weights[3:5] = 1e300, 1e-300
    with pytest.raises(
        kernelfit.errors.InputError, match=r"^sample_weight: got weights from 1e-300 to 1e\+300"
    ):
        kernelfit.solve(
            rng.standard_normal((10, 2)), rng.standard_normal(10), kernel="linear", sample_weight=weights
        )
