"""Products of some hundred float64 rows with each other."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from kernelfit.cpu.floats_square import MAX_ROWS, multiply_square


@pytest.mark.parametrize(("n", "d"), [(1, 1), (2, 9), (5, 16), (7, 3), (50, 33), (MAX_ROWS, 4)])
def test_products_are_symmetric_and_those_of_the_rows(rng, n, d):
    rows, out = rng.standard_normal((n, d)), np.full((n, n), np.nan)
    multiply_square(rows, out)
    assert np.array_equal(out, out.T)
    np.testing.assert_allclose(out, rows @ rows.T, rtol=0, atol=1e-15 * d * np.square(rows).max())


def test_errors_are_those_of_short_sums(rng):
    rows, out = rng.uniform(0, 1, (6, 784)), np.empty((6, 6))
    multiply_square(rows, out)
    exact = [
        [float(sum(Fraction(a) * Fraction(b) for a, b in zip(x, y, strict=True))) for y in rows] for x in rows
    ]
    # In the order of the features 784 u would be the bound; of four lanes or more a quarter of it.
    assert np.abs(out / exact - 1).max() <= 200 * 2.0**-53
