"""Refinement by conjugate gradients, with exact, rough and useless preconditioners."""

from __future__ import annotations

import numpy as np
import pytest

from kernelfit.linalg.conjugate_gradients import Operators, backward_error, refine

EPS = np.finfo(float).eps


def system(rng, n, exponent, columns=3):
    basis = np.linalg.qr(rng.standard_normal((n, n)))[0]
    k = (basis * np.logspace(-exponent, 0, n)) @ basis.T
    return (k + k.T) / 2, rng.standard_normal((n, columns))


def run(k, y, m, **options):
    return run_with(lambda v: k @ v, lambda r: np.linalg.solve(m, r), k, y, **options)


def run_with(product, precondition, k, y, **options):
    start = precondition(y)
    operators = Operators(product, precondition, np.linalg.norm(k, 1))
    return refine(operators, y, start, y - k @ start, **options)


@pytest.mark.parametrize("exponent", [0, 2, 5])
def test_a_single_precision_preconditioner_reaches_double_precision(rng, exponent):
    k, y = system(rng, 120, exponent)
    result = run(k, y, k.astype(np.float32).astype(float))
    assert result.backward_error <= 2 * EPS
    np.testing.assert_allclose(result.solution, np.linalg.solve(k, y), rtol=1e-13 * 10.0**exponent)
    assert np.array_equal(result.residual, y - k @ result.solution)
    assert result.iterations <= 10


def test_the_reported_error_is_the_true_one(rng):
    k, y = system(rng, 60, 4)
    result = run(k, y, k + 1e-3 * np.eye(60))
    true = backward_error(y - k @ result.solution, np.linalg.norm(k, 1), result.solution, y)
    assert result.backward_error == true
    assert result.converged == (true <= 0.5 * EPS)


def test_products_are_counted_and_bounded(rng):
    k, y = system(rng, 200, 10)
    used = 0

    def product(v):
        nonlocal used
        used += 1
        return k @ v

    result = run_with(product, lambda r: r.copy(), k, y, max_iterations=17)
    assert used == result.iterations - 1  # the caller's own product with the start counts too
    assert used <= 17
    assert not result.converged
    assert result.backward_error > 1e-12


def test_each_column_converges_on_its_own(rng):
    k, y = system(rng, 80, 3, columns=4)
    y[:, 1] = 0.0
    y[:, 2] *= 1e12
    y[:, 3] = k @ np.ones(80)
    result = run(k, y, k.astype(np.float32).astype(float))
    assert (result.solution[:, 1] == 0).all()
    np.testing.assert_allclose(k @ result.solution, y, atol=1e-12 * np.abs(y).max(axis=0).max())
    np.testing.assert_allclose(result.solution[:, 3], 1.0, rtol=1e-10)


def test_a_preconditioner_of_not_a_number_does_not_hang(rng):
    k, y = system(rng, 20, 1)
    result = run_with(lambda v: k @ v, lambda r: np.full_like(r, np.nan), k, y)
    assert not result.converged
    assert np.isnan(result.backward_error)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_no_small_error(value):
    whole = np.ones((3, 2))
    broken = whole.copy()
    broken[1, 1] = value
    assert np.isnan(backward_error(broken - whole, 1.0, broken, whole))
    assert np.isnan(backward_error(np.full((3, 2), np.nan), 1.0, whole, whole))


def test_a_scale_that_overflows_makes_no_residual_small():
    one = np.ones((3, 1))
    assert np.isnan(backward_error(one, 1e10, 1e300 * one, one))
    assert np.isnan(backward_error(one, np.inf, one, one))


def test_backward_error_by_hand():
    assert backward_error(np.empty((0, 2)), 1.0, np.empty((0, 2)), np.empty((0, 2))) == 0.0
    residual, solution, targets = np.array([[1.0, 0.0]]), np.array([[2.0, 0.0]]), np.array([[4.0, 0.0]])
    assert backward_error(residual, 3.0, solution, targets) == 1.0 / (3.0 * 2.0 + 4.0)
