"""Theorem 1 and Lemma 1 in one dimension."""

from fractions import Fraction

import numpy as np
import pytest
from scipy.linalg import solve_triangular

from kernelfit.errors import InputError
from kernelfit.expressivity import biases, hinge_weights, lemma1
from kernelfit.expressivity.interpolant import typical_gap


def evaluate(x, b, w):
    return np.maximum(np.subtract.outer(x, b), x[0] - x[0]) @ w


def test_exact_in_fractions(rng):
    x = np.array([Fraction(int(v)) for v in np.sort(rng.choice(10**6, size=40, replace=False))], dtype=object)
    y = np.array(
        [[Fraction(int(v), 7), Fraction(int(v) ** 2, 3)] for v in rng.integers(-50, 50, 40)], dtype=object
    )
    b = biases(x, Fraction(1, 4), x[0] - typical_gap(x))
    w = hinge_weights(x, b, y)
    assert (evaluate(x, b, w) == y).all()
    assert all(isinstance(value, Fraction) for value in w.ravel())
    assert all(left < point for left, point in zip(b, x, strict=True))
    assert all(point < right for point, right in zip(x[:-1], b[1:], strict=True))


def test_agrees_with_the_dense_triangular_solve(rng):
    x = np.sort(rng.choice(10**5, size=300, replace=False)).astype(float)
    y = rng.standard_normal((300, 3))
    b = biases(x, 0.25, x[0] - typical_gap(x))
    dense = solve_triangular(np.maximum(np.subtract.outer(x, b), 0), y, lower=True)
    np.testing.assert_allclose(hinge_weights(x, b, y), dense, rtol=1e-9, atol=1e-9 * np.abs(dense).max())


def test_first_bias_is_a_typical_gap_before_the_first_point():
    x = np.array([10.0, 12.0, 16.0, 30.0])
    np.testing.assert_array_equal(biases(x, 0.25, x[0] - typical_gap(x)), [7.0, 10.5, 13.0, 19.5])


def test_one_point():
    x = np.array([5.0])
    b = biases(x, 0.25, x[0] - typical_gap(x))
    assert evaluate(x, b, hinge_weights(x, b, np.array([[3.0]])))[0, 0] == 3.0


def test_theta_above_one_half_overflows_at_50_000_points(rng):
    x = np.sort(rng.choice(10**12, size=50_000, replace=False)).astype(float)
    y = rng.integers(0, 10, (50_000, 1)).astype(float)
    for theta in (0.25, 0.45):
        assert np.isfinite(hinge_weights(x, biases(x, theta, x[0] - 1.0), y)).all()
    with pytest.raises(InputError, match=r"theta: .*overflow"):
        hinge_weights(x, biases(x, 0.6, x[0] - 1.0), y)


def test_lemma_1_the_eigenvalue_does_not_bound_the_weights(rng):
    x = np.arange(200.0)
    b = biases(x, 0.25, -1.0)
    found = lemma1(x, b)
    matrix = np.maximum(np.subtract.outer(x, b), 0)
    assert found.smallest_eigenvalue == 0.75
    np.testing.assert_allclose(np.sort(np.linalg.eigvals(matrix).real)[0], 0.75)
    # The direction of the smallest singular value needs weights larger than ||y|| / eigenvalue ...
    left, singular, _ = np.linalg.svd(matrix)
    assert found.smallest_singular_value == pytest.approx(singular[-1])
    weights = hinge_weights(x, b, left[:, -1:])
    assert np.linalg.norm(weights) > 1 / found.smallest_eigenvalue
    # ... and exactly as large as the singular value says.
    assert np.linalg.norm(weights) == pytest.approx(1 / found.smallest_singular_value)


def test_lemma_1_refuses_large_samples():
    with pytest.raises(InputError, match="x: got 5001 points"):
        lemma1(np.arange(5001.0), np.arange(5001.0) - 0.5)
