"""The norm of a small inverse against NumPy's inverse."""

import numpy as np
import pytest

from kernelfit.linalg.small_inverse import inverse_norm


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 33, 50, 64])
@pytest.mark.parametrize("ridge", [1.0, 1e-6])
def test_of_every_order(rng, n, ridge):
    rows = rng.standard_normal((n, n))
    gram = rows @ rows.T + ridge * np.eye(n)
    lower = np.linalg.cholesky(gram)
    inverse = np.linalg.solve(lower.T, np.linalg.solve(lower, np.eye(n)))
    expected = np.abs(inverse).sum(axis=0).max()
    assert inverse_norm(lower) == pytest.approx(expected, rel=n * np.linalg.cond(lower) * 2e-16)


@pytest.mark.parametrize("row", [0, 7, 19])
def test_what_is_no_number_stays_none(row):
    lower = np.eye(20)
    lower[row, row] = np.nan
    assert np.isnan(inverse_norm(lower))
