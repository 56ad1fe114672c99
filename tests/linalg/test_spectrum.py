"""Leave-one-out from eigenvalues: against leaving rows out, and against scikit-learn's ridge regression."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import RidgeCV

from kernelfit.linalg.spectrum import Spectrum

RIDGES = [0.0, 1e-6, 0.03, 2.0, 1e3]


@pytest.mark.parametrize("n", [2, 3, 40])
def test_a_residual_is_that_of_the_row_left_out(rng, n):
    x, y = rng.standard_normal((n, 3)), rng.standard_normal((n, 2))
    k = np.exp(-((x[:, None] - x) ** 2).sum(-1))
    for ridge, residuals in zip(RIDGES, Spectrum.of(k).left_out(y, RIDGES), strict=True):
        for row in range(n):
            others = np.delete(np.arange(n), row)
            model = np.linalg.solve(k[np.ix_(others, others)] + ridge * np.eye(n - 1), y[others])
            np.testing.assert_allclose(residuals[row], y[row] - k[row, others] @ model, rtol=1e-7, atol=1e-9)


def test_equals_ridge_cv_and_kernel_ridge(rng):
    x, y = rng.standard_normal((60, 5)), rng.standard_normal((60, 2))
    ridges = [0.1, 1.0, 30.0]
    sklearn = RidgeCV(alphas=ridges, fit_intercept=False, store_cv_results=True).fit(x, y).cv_results_
    for index, residuals in enumerate(Spectrum.of(x @ x.T).left_out(y, ridges)):
        np.testing.assert_allclose(residuals**2, sklearn[:, :, index], rtol=1e-8, atol=1e-12)
    k = x @ x.T
    others = np.arange(1, 60)
    for ridge, residuals in zip(ridges, Spectrum.of(k).left_out(y, ridges), strict=True):
        model = KernelRidge(alpha=ridge, kernel="precomputed").fit(k[1:, 1:], y[1:])
        np.testing.assert_allclose(residuals[0], y[0] - model.predict(k[:1, others])[0], rtol=1e-9)


def test_a_singular_matrix_has_no_answer_until_the_ridge_lifts_it(rng):
    x, y = rng.standard_normal((50, 3)), rng.standard_normal((50, 1))
    residuals = Spectrum.of(x @ x.T).left_out(y, [0.0, 1e-14, 0.5])
    assert [left is None for left in residuals] == [True, True, False]


def test_more_targets_than_rows_go_in_groups(rng):
    x, y = rng.standard_normal((8, 3)), rng.standard_normal((8, 20))
    spectrum = Spectrum.of(x @ x.T + np.eye(8))
    for column in (0, 19):
        alone = spectrum.left_out(y[:, [column]], RIDGES)
        together = spectrum.left_out(y, RIDGES)
        for a, b in zip(alone, together, strict=True):
            np.testing.assert_allclose(a[:, 0], b[:, column], rtol=1e-12, atol=1e-12)
